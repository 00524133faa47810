import { refusal } from "../dashboard/access.ts";
import { runJson } from "../dashboard/run_json.ts";
import type { Handlers } from "../dashboard/state.ts";

/** Runs at once, because each may have many events. */
const most = 100;

/** Runs with all their events, as JSON to download. */
export const handler: Handlers = {
  GET(ctx) {
    const { store, run } = ctx.state.services;
    const ids = ctx.url.searchParams.getAll("run");
    if (ids.length === 0 || ids.length > most) {
      return refusal(400, `Choose 1 to ${most} runs.`);
    }
    let index = -1;
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
      // One run at a time, as fast as they are taken.
      async pull(controller) {
        index++;
        if (index > ids.length) return controller.close();
        if (index === ids.length) {
          return controller.enqueue(encoder.encode("]}\n"));
        }
        const found = await run(store.get(ids[index]!));
        controller.enqueue(
          encoder.encode(
            `${index === 0 ? '{"runs":[' : ","}${
              JSON.stringify(found === undefined ? null : runJson(found))
            }`,
          ),
        );
      },
    });
    return new Response(body, {
      headers: {
        "content-type": "application/json; charset=utf-8",
        "content-disposition": `attachment; filename="runs.json"`,
      },
    });
  },
};
