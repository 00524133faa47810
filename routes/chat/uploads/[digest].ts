import type { Handlers } from "../../../dashboard/state.ts";

/** Kinds of picture that browsers show. */
const shown = /^image\/(png|jpeg|webp|gif|avif)$/;

export const handler: Handlers = {
  GET(ctx) {
    const { uploads } = ctx.state.services;
    const upload = uploads.get(ctx.params.digest!);
    const picture = upload && uploads.picture(upload.digest);
    if (upload === undefined || picture === undefined) {
      return new Response("Not found\n", { status: 404 });
    }
    return new Response(picture.bytes, {
      headers: {
        "content-type": shown.test(upload.type)
          ? upload.type
          : "application/octet-stream",
        "cache-control": "private, max-age=31536000, immutable",
      },
    });
  },
};
