import { batchPace, readBatches } from "../../dashboard/batches.ts";
import { resumeAt } from "../../dashboard/live.ts";
import type { Handlers } from "../../dashboard/state.ts";

/** The table of batches as it changes. */
export const handler: Handlers = {
  GET(ctx) {
    const { services } = ctx.state;
    return services.live.shown(
      "batches",
      () => ({ read: () => readBatches(services), pace: batchPace }),
      resumeAt(ctx.req) ?? -1,
    );
  },
};
