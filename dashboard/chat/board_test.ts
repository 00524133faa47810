import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { InternVL } from "../../sdk/mod.ts";
import {
  browserTest,
  changeLook,
  checkAccessible,
  checkNoOverflow,
} from "../browser_kit.ts";
import { picture, slowModel, video } from "./chats_kit.ts";

let nano: Promise<InternVL> | undefined;

browserTest(
  "chat with a picture: the answer streams, the graph lights up, a second round, a video",
  {
    load: () => nano ??= InternVL.load("models/nano"),
  },
  async ({ open, base, services }) => {
    try {
      const page = await open("/chat");
      await page.waitForSelector("[data-hydrated=true]");
      await checkAccessible(page);
      await page.locator("input[type=file]").setInputFiles([picture]);
      await page.locator(".ask img.thumb").waitFor();
      const field = page.getByRole("textbox", { name: "Question" });
      await field.fill("What is in the picture?");
      await field.press("Enter");
      await page.locator(".answer", { hasText: "red circle" }).waitFor();
      await page.locator(".watch .state.succeeded").waitFor();
      await page.locator(".graph .box.succeeded", { hasText: "decode" })
        .waitFor();
      await field.fill("How many shapes are there?");
      await page.getByRole("button", { name: "Ask" }).click();
      await page.locator(".answer", { hasText: "two shapes" }).waitFor();
      // The picture was seen before.
      await page.locator(".graph .box.cached", { hasText: "vision-encode" })
        .waitFor();
      await checkAccessible(page);
      // The page says the same when it is loaded anew, in any look.
      const { pathname } = new URL(page.url());
      for (
        const look of [{ dark: true }, { width: 360 }, { scriptless: true }]
      ) {
        const other = await open(pathname, look);
        await other.locator(".answer", { hasText: "two shapes" }).waitFor();
        await checkNoOverflow(other);
        if (!("scriptless" in look)) await checkAccessible(other);
        await other.close();
      }
      // A video, in a conversation of its own.
      await page.goto(`${base}/chat`);
      await page.waitForSelector("[data-hydrated=true]");
      await page.locator("input[type=file]").setInputFiles([video]);
      await page.locator(".ask .thumb", { hasText: "video" }).waitFor();
      await field.fill("What happens?");
      await field.press("Enter");
      await page.locator(".answer", { hasText: "moves" }).waitFor();
      await page.locator(".graph .box.succeeded", { hasText: "video-sample" })
        .waitFor();
      await checkAccessible(page);
      await page.context().close();
    } finally {
      await services.chats.close();
      await (await nano)?.[Symbol.asyncDispose]();
      nano = undefined;
    }
  },
);

browserTest(
  "chat: stop",
  { load: () => Promise.resolve(slowModel(100_000, 20)) },
  async ({ open }) => {
    const page = await open("/chat");
    await page.waitForSelector("[data-hydrated=true]");
    await page.getByRole("textbox", { name: "Question" }).fill("Go on and on");
    await page.getByRole("button", { name: "Ask" }).click();
    await page.locator(".answer", { hasText: "word3" }).waitFor();
    // One who comes in the middle sees it go on.
    const other = await open(new URL(page.url()).pathname);
    await other.locator(".answer", { hasText: "word9 word10" }).waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText("this round is not remembered").waitFor();
    await other.getByText("this round is not remembered").waitFor();
    await page.getByRole("button", { name: "Ask" }).waitFor();
  },
);

const refused =
  /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|status of 40[39]/;

browserTest(
  "chat: the server is killed in the middle of an answer and started again",
  { load: () => Promise.resolve(slowModel(100_000, 20)) },
  async ({ open, kill }) => {
    const page = await open("/chat", { tolerates: refused });
    await page.waitForSelector("[data-hydrated=true]");
    const field = page.getByRole("textbox", { name: "Question" });
    await field.fill("Go on and on");
    await page.getByRole("button", { name: "Ask" }).click();
    await page.locator(".answer", { hasText: "word3" }).waitFor();
    const start = await kill();
    await page.getByText("The connection is lost; reconnecting").waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText("The server could not be reached.").waitFor();
    await field.fill("And then?");
    await field.press("Enter");
    await page.getByText("The question before is still being answered.")
      .waitFor();
    await start();
    // What was there of the answer stays; nothing is busy any more.
    await page.getByText("The rest of this answer is lost").waitFor();
    await page.locator(".answer", { hasText: "word3" }).waitFor();
    await page.locator("[aria-busy=false]").waitFor();
    await page.locator(".watch .state.lost").waitFor();
    assert.equal(await page.getByText("reconnecting").count(), 0);
    await checkAccessible(page);
    await field.press("Enter");
    await page.getByText("The page was too old for this change").waitFor();
    await Promise.all([
      page.waitForEvent("load"),
      page.getByRole("button", { name: "Load the page again" }).click(),
    ]);
    await page.waitForSelector("[data-hydrated=true]");
    assert.equal(await field.inputValue(), "And then?");
    await field.press("Enter");
    await page.locator(".answer", { hasText: "word3" }).waitFor();
    assert.equal(await page.locator(".round").count(), 1);
  },
);

browserTest(
  "chat: a stop that the server refuses says so",
  { load: () => Promise.resolve(slowModel(100_000, 20)) },
  async ({ open }) => {
    const page = await open("/chat", { tolerates: refused });
    await page.waitForSelector("[data-hydrated=true]");
    await page.getByRole("textbox", { name: "Question" }).fill("Go on and on");
    await page.getByRole("button", { name: "Ask" }).click();
    await page.locator(".answer", { hasText: "word3" }).waitFor();
    // As after a restart of the server.
    await page.evaluate(() =>
      document.querySelector("meta[name=csrf]")!.setAttribute("content", "old")
    );
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText("The page was too old for this change").waitFor();
    await page.getByRole("button", { name: "Load the page again" }).waitFor();
  },
);

browserTest(
  "chat: two windows on one conversation see the same rounds",
  { load: () => Promise.resolve(slowModel(5, 1)) },
  async ({ open, services }) => {
    const one = await open("/chat", { tolerates: refused });
    await one.waitForSelector("[data-hydrated=true]");
    const { pathname } = new URL(one.url());
    const two = await open(pathname, { tolerates: refused });
    await two.waitForSelector("[data-hydrated=true]");
    const asked = (page: typeof one) => page.locator(".asks").allTextContents();
    const ask = async (page: typeof one, question: string) => {
      const field = page.getByRole("textbox", { name: "Question" });
      await field.fill(question);
      await field.press("Enter");
      return field;
    };
    await ask(one, "First");
    await one.locator(".answer", { hasText: "word4" }).waitFor();
    const field = await ask(two, "Second");
    await two.getByText("This conversation went on elsewhere").waitFor();
    assert.deepEqual(await asked(two), ["First"]);
    assert.equal(await field.inputValue(), "Second");
    await field.press("Enter");
    await two.locator(".round:nth-child(2) .answer", { hasText: "word4" })
      .waitFor();
    assert.deepEqual(await asked(two), ["First", "Second"]);
    assert.equal(await field.inputValue(), "");
    assert.deepEqual(
      services.chats.view(pathname.split("/").at(-1)!).rounds
        .map(({ question }) => question),
      ["First", "Second"],
    );
  },
);

browserTest(
  "chat: of several files that cannot be read each is named",
  { load: () => Promise.resolve(slowModel(5, 1)) },
  async ({ open }) => {
    const page = await open("/chat", { tolerates: /status of 415/ });
    await page.waitForSelector("[data-hydrated=true]");
    const file = (name: string, text: string) => ({
      name,
      mimeType: "image/png",
      buffer: Buffer.from(text),
    });
    await page.locator("input[type=file]").setInputFiles([
      file("none.png", ""),
      file("notes.png", "Not at all a picture"),
      {
        ...file("shapes.png", ""),
        buffer: Buffer.from(await Deno.readFile(picture)),
      },
      file("page.png", "<!doctype html>"),
    ]);
    await page.locator(".ask img.thumb").waitFor();
    await page.getByText("page.png: the file is a web page").waitFor();
    const words = await page.locator(".notice p").allTextContents();
    assert.equal(words.length, 3);
    assert.equal(words[0], "none.png: the file is empty");
    assert.match(words[1]!, /^notes\.png: the file is text/);
    assert.equal(await page.locator(".ask img.thumb").count(), 1);
    await checkAccessible(page);
  },
);

browserTest(
  "chat: with open settings the conversation can be read on any screen",
  { load: () => Promise.resolve(slowModel(60, 1)) },
  async ({ open }) => {
    const page = await open("/chat");
    await page.waitForSelector("[data-hydrated=true]");
    const field = page.getByRole("textbox", { name: "Question" });
    await field.fill("Go on");
    await field.press("Enter");
    await page.locator(".answer", { hasText: "word59" }).waitFor();
    await page.getByText("Settings").click();
    for (
      const [width, height] of [
        [844, 390],
        [390, 600],
        [390, 640],
        [360, 800],
        [1280, 720],
      ] as const
    ) {
      await changeLook(page, { width, height });
      // Whether the answer's first or last line lies under something else, wherever the page is scrolled to.
      const readable = await page.evaluate(async () => {
        const answer = document.querySelector(".answer")!;
        const most = document.documentElement.scrollHeight - innerHeight;
        const seen = { first: false, last: false };
        for (let top = 0; top <= most + 20; top += 20) {
          scrollTo(0, top);
          await new Promise(requestAnimationFrame);
          const box = answer.getBoundingClientRect();
          const at = (y: number) =>
            document.elementFromPoint(box.left + 4, y) === answer;
          seen.first ||= at(box.top + 8);
          seen.last ||= at(box.bottom - 8);
        }
        return seen;
      });
      const size = `${width}x${height}`;
      assert.deepEqual(readable, { first: true, last: true }, size);
      await checkNoOverflow(page);
    }
    await checkAccessible(page);
  },
);

browserTest(
  "what is dropped: folders and huge files are told at once, text goes where it is dropped",
  { load: () => Promise.resolve(slowModel(1, 1)) },
  async ({ open }) => {
    const page = await open("/chat");
    await page.waitForSelector("[data-hydrated=true]");
    let sent = 0;
    page.on("request", () => sent++);
    const taken = await page.evaluate(() => {
      const field = document.querySelector("textarea")!;
      const drop = (dataTransfer: object): boolean => {
        const event = new Event("drop", { bubbles: true, cancelable: true });
        Object.defineProperty(event, "dataTransfer", { value: dataTransfer });
        return !field.dispatchEvent(event);
      };
      const huge = new File(["x"], "huge.mov");
      Object.defineProperty(huge, "size", { value: 2 ** 40 });
      const folder = new File([], "folder");
      // As the browser does it.
      folder.slice = () =>
        ({
          arrayBuffer: () =>
            Promise.reject(new DOMException("", "NotFoundError")),
        }) as unknown as Blob;
      return [
        drop({ types: ["text/plain"], files: [] }),
        drop({ types: ["Files"], files: [huge, folder] }),
      ];
    });
    assert.deepEqual(taken, [false, true]);
    await page.waitForSelector(
      "text=folder: it cannot be read; a folder cannot be sent, only files",
    );
    await page.waitForSelector(
      "text=huge.mov: the file is larger than 128 MiB",
    );
    assert.equal(sent, 0);
  },
);
