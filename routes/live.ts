import { resumeAt } from "../dashboard/live.ts";
import type { Handlers } from "../dashboard/state.ts";

/** Changes of all runs as they happen. */
export const handler: Handlers = {
  GET: (ctx) => ctx.state.services.live.list(resumeAt(ctx.req)),
};
