import { csvHead, csvLine, jsonLine } from "../../../dashboard/batch_export.ts";
import { itemQuery } from "../../../dashboard/batches.ts";
import type { Handlers } from "../../../dashboard/state.ts";

export const handler: Handlers = {
  async GET(ctx) {
    const { store, run } = ctx.state.services;
    const id = ctx.params.id!;
    const batch = await run(store.batches.get(id));
    if (batch === undefined) {
      return new Response("No such batch\n", { status: 404 });
    }
    const csv = ctx.url.searchParams.get("format") !== "jsonl";
    const { after: _, ...query } = itemQuery(ctx.url.searchParams);
    let after: number | undefined = -1;
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        if (csv) controller.enqueue(encoder.encode(csvHead));
      },
      // A page of them when somebody reads on, so that a long batch never lies in memory.
      pull: async (controller) => {
        if (after === undefined) return controller.close();
        const page = await run(
          store.batches.items(id, { ...query, limit: 500, after }),
        );
        after = page.after;
        const text = page.items.map(csv ? csvLine : jsonLine).join("");
        if (text !== "") controller.enqueue(encoder.encode(text));
        else if (after === undefined) controller.close();
      },
    });
    const name = batch.name.replace(/\.\w+$/, "").replace(/[^\w.-]+/g, "-") ||
      "batch";
    const type = csv ? "text/csv" : "application/jsonl";
    return new Response(body, {
      headers: {
        "content-type": `${type}; charset=utf-8`,
        "content-disposition": `attachment; filename="${name}.${
          csv ? "csv" : "jsonl"
        }"`,
      },
    });
  },
};
