import {
  batchPace,
  itemAddress,
  itemQuery,
  readBatch,
} from "../../../dashboard/batches.ts";
import { resumeAt } from "../../../dashboard/live.ts";
import type { Handlers } from "../../../dashboard/state.ts";

/** A page of a batch as it changes. */
export const handler: Handlers = {
  GET(ctx) {
    const { services } = ctx.state;
    const id = ctx.params.id ?? "";
    const query = itemQuery(ctx.url.searchParams);
    return services.live.shown(
      `batch ${id} ${itemAddress(query, query.after)}`,
      () => ({ read: () => readBatch(services, id, query), pace: batchPace }),
      resumeAt(ctx.req) ?? -1,
    );
  },
};
