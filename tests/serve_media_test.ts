/**
 * Where pictures and videos come from: fetched, in a data URL, from a folder that may be read.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { nano, withServer } from "./serve_kit.ts";

const examples = new URL("../examples/", import.meta.url);
const picture = Deno.readFileSync(new URL("images/shapes.png", examples));
const video = Deno.readFileSync(new URL("videos/moving.mp4", examples));

Deno.test("pictures and videos are fetched, decoded and read from where they may be", async () => {
  const stop = new AbortController();
  const files = Deno.serve({
    port: 0,
    hostname: "127.0.0.1",
    signal: stop.signal,
    onListen: () => {},
  }, (request) => {
    switch (new URL(request.url).pathname) {
      case "/a.png":
        return new Response(picture);
      case "/to":
        return Response.redirect(new URL("/a.png", request.url));
      case "/v.mp4":
        return new Response(video);
      case "/list.m3u8":
        return new Response("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n");
      default:
        return new Response("<html>no</html>");
    }
  });
  const host = `127.0.0.1:${files.addr.port}`;
  try {
    await withServer({
      models: [{ dir: nano }],
      media: { trustedHosts: [host], folders: [fileURLToPath(examples)] },
      limits: { maxVideoSeconds: 60, maxFrames: 8 },
    }, async ({ post }) => {
      const ask = async (...content: object[]) => {
        const response = await post("/v1/chat/completions", {
          model: "nano",
          messages: [{
            role: "user",
            content: [...content, {
              type: "text",
              text: "What is in the picture?",
            }],
          }],
          max_tokens: 30,
        });
        const body = await response.json();
        return {
          status: response.status,
          said: body.choices?.[0].message.content as string,
          images: body.usage?.prompt_tokens_details.image_tokens as number,
          error: body.error?.message as string,
        };
      };
      const image = (url: string) => ({
        type: "image_url",
        image_url: { url },
      });
      const clip = (url: string, more = {}) => ({
        type: "video_url",
        video_url: { url, ...more },
      });
      for (
        const url of [
          `http://${host}/a.png`,
          `http://${host}/to`,
          new URL("images/shapes.png", examples).href,
          `data:image/png;base64,${picture.toBase64()}`,
          `data:;base64,${picture.toBase64({ alphabet: "base64url" })}`,
        ]
      ) assert.match((await ask(image(url))).said, /red circle/, url);

      const one = (await ask(clip(`http://${host}/v.mp4`, { num_frames: 1 })))
        .images;
      for (
        const url of [
          `http://${host}/v.mp4`,
          new URL("videos/moving.mp4", examples).href,
          `data:video/mp4;base64,${video.toBase64()}`,
        ]
      ) {
        const seen = await ask(clip(url, { num_frames: 3, start: 0 }));
        assert.equal(seen.status, 200, seen.error);
        assert.equal(seen.images, 3 * one);
      }
      const both = await ask(
        clip(`http://${host}/v.mp4`, { num_frames: 2 }),
        image(`http://${host}/a.png`),
      );
      assert.ok(both.images > 2 * one);

      assert.match((await ask(image(`http://${host}/x`))).error, /web page/);
      // A playlist would have FFmpeg open what it names.
      assert.match(
        (await ask(clip(`http://${host}/list.m3u8`))).error,
        /not a video/,
      );
      assert.match(
        (await ask(clip(`http://${host}/a.png`))).error,
        /not a video/,
      );
      const outside = new URL("../deno.json", examples).href;
      assert.match((await ask(image(outside))).error, /may be read/);
    });
  } finally {
    stop.abort();
    await files.finished;
  }
});
