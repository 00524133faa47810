import { refusal } from "../../../dashboard/access.ts";
import type { Handlers } from "../../../dashboard/state.ts";

const types = ["image/webp", "image/png", "image/jpeg", "image/gif"];

/** The small picture of a run's input. */
export const handler: Handlers = {
  async GET(ctx) {
    const { store, run } = ctx.state.services;
    const icon = await run(store.icon(ctx.params.id ?? ""));
    const match = /^data:([\w/]+);base64,([\w+/=]+)$/.exec(icon ?? "");
    const type = match?.[1];
    if (match === null || type === undefined || !types.includes(type)) {
      return refusal(404, "There is no picture.");
    }
    return new Response(Uint8Array.fromBase64(match[2]!), {
      headers: {
        "content-type": type,
        "cache-control": "private, max-age=86400",
      },
    });
  },
};
