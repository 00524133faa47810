import {
  latencyAddress,
  latencyQuery,
  liveLatency,
} from "../../dashboard/latency.ts";
import { resumeAt } from "../../dashboard/live.ts";
import type { Handlers } from "../../dashboard/state.ts";

/** The report as it changes. */
export const handler: Handlers = {
  GET(ctx) {
    const { services } = ctx.state;
    const query = latencyQuery(ctx.url.searchParams);
    return services.live.shown(
      `latency ${latencyAddress(query)}`,
      () => liveLatency(services, query),
      resumeAt(ctx.req) ?? -1,
    );
  },
};
