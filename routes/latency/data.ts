import { latencyQuery, latencyReport } from "../../dashboard/latency.ts";
import type { Handlers } from "../../dashboard/state.ts";

export const handler: Handlers = {
  async GET(ctx) {
    const query = latencyQuery(ctx.url.searchParams);
    const { report } = await latencyReport(ctx.state.services, query);
    return Response.json(report);
  },
};
