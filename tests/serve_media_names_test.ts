/**
 * What is wrong with one of several pictures and videos is said of the one, by its place in the request.
 */
import assert from "node:assert/strict";
import { nano, shapes, withServer } from "./serve_kit.ts";

const data = (bytes: Uint8Array) => `data:;base64,${bytes.toBase64()}`;
const video = Deno.readFileSync(
  new URL("../examples/videos/moving.mp4", import.meta.url),
);
const image = (url: string) => ({ type: "image_url", image_url: { url } });
const clip = (url: string) => ({ type: "video_url", video_url: { url } });

const someLeft = (folder: string) => !Deno.readDirSync(folder).next().done;

/** Asks about pictures and videos with a folder of its own for temporary files; what is left in it. */
async function left(
  content: readonly object[],
  check: (error: { message: string; param: string }, status: number) => void,
): Promise<void> {
  const { makeTempDir } = Deno;
  const folder = await makeTempDir({ prefix: "tessera-test-" });
  // Not by TMPDIR, which other files' tests in this process would see; and of theirs only servers' videos.
  Deno.makeTempDir = (options) =>
    makeTempDir(
      options?.prefix === "tessera-" ? { ...options, dir: folder } : options,
    );
  try {
    await withServer({ models: [{ dir: nano }] }, async ({ post }) => {
      const response = await post("/v1/chat/completions", {
        model: "nano",
        messages: [{ role: "user", content }],
        max_tokens: 1,
      });
      const { error } = await response.json();
      check(error, response.status);
    });
    Deno.makeTempDir = makeTempDir;
    // Another file's server may have got a folder here meanwhile, and takes it away as well.
    for (let tries = 0; tries < 200 && someLeft(folder); tries++) {
      await new Promise((done) => setTimeout(done, 50));
    }
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  } finally {
    Deno.makeTempDir = makeTempDir;
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a damaged picture among others is named by its place", () =>
  left(
    [image(shapes), image(data(Uint8Array.of(0x89, 0x50, 0x4e, 0x47)))],
    ({ message, param }, status) => {
      assert.equal(status, 400);
      assert.equal(param, "messages[0].content[1].image_url.url");
      assert.match(message, /^messages\[0\]\.content\[1\]\S+ is /);
    },
  ));

Deno.test("a damaged video is named by its place, not by the server's file", () =>
  left(
    [clip(data(video)), clip(data(video.subarray(0, 2000)))],
    ({ message, param }, status) => {
      assert.equal(status, 400);
      assert.equal(param, "messages[0].content[1].video_url.url");
      assert.match(
        message,
        /^messages\[0\]\.content\[1\]\S+ is (damaged|no video)/,
      );
      assert.doesNotMatch(message, /tessera-/);
    },
  ));

Deno.test("a video for which there is no room leaves nothing behind", async () => {
  const { writeFile } = Deno;
  // Part of it is written, as on a disk that becomes full.
  Deno.writeFile = async (path, bytes, options) => {
    if (!/tessera-test-\w+\/tessera-\w+\/video$/.test(String(path))) {
      return await writeFile(path, bytes as Uint8Array, options);
    }
    await writeFile(path, (bytes as Uint8Array).subarray(0, 100), options);
    throw new Error("No space left on device (os error 28)");
  };
  try {
    await left([clip(data(video))], ({ message, param }, status) => {
      assert.equal(status, 500);
      assert.equal(param, "messages[0].content[0].video_url.url");
      assert.match(message, /cannot keep the video; its log says why/);
    });
  } finally {
    Deno.writeFile = writeFile;
  }
});
