import { tooLarge } from "../../../components/chat.ts";
import { BodyTooLarge, readBody } from "../../../dashboard/body.ts";
import { mostVideo, UploadError } from "../../../dashboard/chat/uploads.ts";
import type { Handlers } from "../../../dashboard/state.ts";

export const handler: Handlers = {
  async POST(ctx) {
    try {
      const bytes = await readBody(ctx.req, mostVideo);
      const name = ctx.url.searchParams.get("name") ?? "";
      return Response.json(await ctx.state.services.uploads.put(bytes, name));
    } catch (error) {
      if (error instanceof UploadError) {
        return Response.json({ error: error.message }, { status: 415 });
      }
      if (error instanceof BodyTooLarge) {
        return Response.json({ error: tooLarge }, { status: 413 });
      }
      throw error;
    }
  },
};
