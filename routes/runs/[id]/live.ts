import { resumeAt } from "../../../dashboard/live.ts";
import type { Handlers } from "../../../dashboard/state.ts";

/** The events of a run as they happen. */
export const handler: Handlers = {
  GET: (ctx) =>
    ctx.state.services.live.one(ctx.params.id ?? "", resumeAt(ctx.req) ?? -1),
};
