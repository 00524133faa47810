import { mostFiles } from "../../../components/chat.ts";
import { BodyTooLarge, readBody } from "../../../dashboard/body.ts";
import { isChatId, StaleError } from "../../../dashboard/chat/chats.ts";
import { ChatError, readSettings } from "../../../dashboard/chat/settings.ts";
import {
  filesIn,
  mostVideo,
  UploadError,
} from "../../../dashboard/chat/uploads.ts";
import type { Context, Handlers } from "../../../dashboard/state.ts";

const longestJson = 1 << 20;

export const handler: Handlers = {
  async POST(ctx) {
    const id = ctx.params.id!;
    if (!isChatId(id)) return new Response("No such chat\n", { status: 404 });
    const type = ctx.req.headers.get("content-type") ?? "";
    return type.startsWith("application/json")
      ? await askJson(ctx, id)
      : await askForm(ctx, id, type);
  },
};

function checkCount(files: readonly unknown[]): void {
  if (files.length <= mostFiles) return;
  throw new ChatError(
    `A question has ${mostFiles} files at most, and this one has ${files.length}.`,
  );
}

const refusalOf = (error: unknown): string | undefined =>
  error instanceof ChatError || error instanceof UploadError ||
    error instanceof BodyTooLarge
    ? error instanceof BodyTooLarge
      ? "The question and its files are too large together."
      : error.message
    : undefined;

/** From the island: files are here already. */
async function askJson(ctx: Context, id: string): Promise<Response> {
  const { chats } = ctx.state.services;
  try {
    const body = await readBody(ctx.req, longestJson);
    const { question, uploads, settings, seen } = parse(body);
    if (
      typeof question !== "string" || typeof seen !== "string" ||
      !isDigests(uploads)
    ) {
      throw new ChatError("The question is not well-formed.");
    }
    checkCount(uploads);
    const given = (settings ?? {}) as { readonly [name: string]: unknown };
    const round = chats.ask(id, {
      question,
      uploads,
      settings: readSettings((name) => given[name]),
      seen,
    });
    return Response.json({ round }, { status: 202 });
  } catch (error) {
    if (error instanceof StaleError) {
      const { message } = error;
      return Response.json({ error: message, chat: chats.view(id) }, {
        status: 409,
      });
    }
    const message = refusalOf(error);
    if (message === undefined) throw error;
    return Response.json({ error: message }, { status: 400 });
  }
}

/** From a form without scripts, files and all. */
async function askForm(
  ctx: Context,
  id: string,
  type: string,
): Promise<Response> {
  const { chats, uploads } = ctx.state.services;
  try {
    const body = await readBody(ctx.req, mostVideo);
    const form = await parseForm(body, type);
    const files = filesIn(form, "files");
    checkCount(files);
    const taken = await uploads.putAll(files);
    chats.ask(id, {
      question: String(form.get("question") ?? ""),
      uploads: taken.map(({ digest }) => digest),
      settings: readSettings((name) => form.get(name)),
    });
    return ctx.redirect(`/chat/${id}#last`, 303);
  } catch (error) {
    const message = refusalOf(error);
    if (message === undefined) throw error;
    return ctx.redirect(
      `/chat/${id}?error=${encodeURIComponent(message)}`,
      303,
    );
  }
}

function parse(body: Uint8Array): { readonly [name: string]: unknown } {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    if (typeof value === "object" && value !== null) {
      return value as { readonly [name: string]: unknown };
    }
  } catch {
    // Said below.
  }
  throw new ChatError("The question is not well-formed.");
}

async function parseForm(
  body: Uint8Array<ArrayBuffer>,
  type: string,
): Promise<FormData> {
  try {
    return await new Response(body, { headers: { "content-type": type } })
      .formData();
  } catch {
    throw new ChatError("The form is not well-formed.");
  }
}

const isDigests = (value: unknown): value is string[] =>
  Array.isArray(value) &&
  value.every((one) => typeof one === "string" && /^[0-9a-f]{64}$/.test(one));
