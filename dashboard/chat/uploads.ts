/**
 * Pictures and videos that people brought along: looked at before they are kept, known by their digest,
 * bounded, and gone when the server ends.
 * @module
 */
import { createHash } from "node:crypto";
import { mostUpload } from "../../components/chat.ts";
import type { NamedPicture } from "../../nodes/values.ts";
import { sniff } from "../../plugins/media/mod.ts";

/** Something that was brought along. */
export interface Upload {
  /** SHA-256 of its bytes, in lower-case hex. */
  readonly digest: string;
  /** What its file was called, in a line. */
  readonly name: string;
  /** A picture lies in memory, a video in a temporary file. */
  readonly kind: "image" | "video";
  /** Media type, by its content. */
  readonly type: string;
  /** Bytes. */
  readonly size: number;
}

/** Why something is not taken. */
export class UploadError extends Error {
  /** The discriminator. */
  readonly _tag = "UploadError" as const;
}

/** Most bytes of a picture. */
export const mostPicture: number = 32 * 2 ** 20;
/** Most bytes of a video. */
export const mostVideo: number = mostUpload;

interface Bounds {
  /** Bytes of all pictures. */
  readonly pictures?: number;
  /** Bytes of all videos. */
  readonly videos?: number;
}

const videoType = (bytes: Uint8Array): string | undefined => {
  const ascii = (from: number, to: number) =>
    String.fromCharCode(...bytes.subarray(from, to));
  if (ascii(4, 8) === "ftyp") {
    const brands = ascii(8, Math.min(bytes.length, 64));
    return /avi[fs]|hei[cxms]|hev[cxms]|mif1|msf1/.test(brands)
      ? undefined
      : ascii(8, 10) === "qt"
      ? "video/quicktime"
      : "video/mp4";
  }
  if (
    bytes[0] === 0x1a && bytes[1] === 0x45 && bytes[2] === 0xdf &&
    bytes[3] === 0xa3
  ) return "video/webm";
  if (ascii(0, 4) === "RIFF" && ascii(8, 12) === "AVI ") {
    return "video/x-msvideo";
  }
  return undefined;
};

/** What the bytes are; throws an {@link UploadError} for what nothing here can read. */
export function lookAt(
  bytes: Uint8Array,
): Pick<Upload, "kind" | "type"> {
  if (bytes.length === 0) throw new UploadError("the file is empty");
  const video = videoType(bytes);
  if (video !== undefined) {
    if (bytes.length > mostVideo) {
      throw new UploadError("the video has more than 128 MiB");
    }
    return { kind: "video", type: video };
  }
  const { format, refused } = sniff(bytes) as {
    format?: string;
    refused?: string;
  };
  if (format === undefined) {
    throw new UploadError(
      `the file is ${
        refused ?? "no picture"
      }, and MP4, MOV, WebM, MKV and AVI as videos`,
    );
  }
  if (bytes.length > mostPicture) {
    throw new UploadError("the picture has more than 32 MiB");
  }
  return { kind: "image", type: `image/${format}` };
}

/** The files in a field of a form; a field that nobody touched sends one without a name. */
export const filesIn = (form: FormData, field: string): readonly File[] =>
  form.getAll(field).filter((file): file is File =>
    file instanceof File && (file.size > 0 || file.name !== "")
  );

const longestName = 200;

/** A file's name as it may stand in a message: what has no shape would break or turn the line. */
const shownName = (name: string): string =>
  name.replace(/[\p{C}\p{Z}]+/gu, " ").trim().slice(0, longestName);

/** Keeps what was brought along; the longest unused goes first. */
export class Uploads {
  readonly #pictures = new Map<
    string,
    { readonly upload: Upload; readonly bytes: Uint8Array<ArrayBuffer> }
  >();
  readonly #videos = new Map<
    string,
    { readonly upload: Upload; readonly path: string }
  >();
  readonly #bounds: Required<Bounds>;
  #folder: Promise<string> | undefined;

  constructor(
    { pictures = 256 * 2 ** 20, videos = 1024 * 2 ** 20 }: Bounds = {},
  ) {
    this.#bounds = { pictures, videos };
  }

  /** Takes files of a form; rejects with one {@link UploadError} that names all that are not taken. */
  async putAll(files: readonly File[]): Promise<Upload[]> {
    const taken: Upload[] = [];
    const refused: string[] = [];
    for (const file of files) {
      try {
        const bytes = new Uint8Array(await file.arrayBuffer());
        taken.push(await this.put(bytes, file.name));
      } catch (error) {
        if (!(error instanceof UploadError)) throw error;
        refused.push(`${shownName(file.name)}: ${error.message}`);
      }
    }
    if (refused.length > 0) throw new UploadError(refused.join("; "));
    return taken;
  }

  /** Takes a file; rejects with an {@link UploadError} for one that is no picture and no video. */
  async put(bytes: Uint8Array<ArrayBuffer>, called = ""): Promise<Upload> {
    const { kind, type } = lookAt(bytes);
    const name = shownName(called) || (kind === "image" ? "picture" : "video");
    const digest = createHash("sha256").update(bytes).digest("hex");
    const upload = { digest, name, kind, type, size: bytes.length };
    if (kind === "image") {
      this.#pictures.delete(digest);
      this.#pictures.set(digest, { upload, bytes });
      trim(this.#pictures, this.#bounds.pictures);
      return upload;
    }
    this.#folder ??= Deno.makeTempDir({ prefix: "tessera-uploads-" });
    const path = `${await this.#folder}/${digest}`;
    if (!this.#videos.has(digest)) {
      await Deno.writeFile(path, bytes, { mode: 0o600 });
    }
    this.#videos.delete(digest);
    this.#videos.set(digest, { upload, path });
    for (const gone of trim(this.#videos, this.#bounds.videos)) {
      await Deno.remove(gone.path).catch(() => {});
    }
    return upload;
  }

  /** What is known by a digest. */
  get(digest: string): Upload | undefined {
    return (this.#pictures.get(digest) ?? this.#videos.get(digest))?.upload;
  }

  /** A picture, which is used now. */
  picture(digest: string): NamedPicture | undefined {
    const found = this.#pictures.get(digest);
    if (found === undefined) return undefined;
    this.#pictures.delete(digest);
    this.#pictures.set(digest, found);
    return { name: found.upload.name, bytes: found.bytes };
  }

  /** A video, which is used now. */
  video(
    digest: string,
  ): { readonly source: string; readonly name: string } | undefined {
    const found = this.#videos.get(digest);
    if (found === undefined) return undefined;
    this.#videos.delete(digest);
    this.#videos.set(digest, found);
    return { source: found.path, name: found.upload.name };
  }

  /** Forgets everything. */
  async close(): Promise<void> {
    this.#pictures.clear();
    this.#videos.clear();
    if (this.#folder === undefined) return;
    await Deno.remove(await this.#folder, { recursive: true }).catch(() => {});
    this.#folder = undefined;
  }
}

function trim<A extends { readonly upload: Upload }>(
  kept: Map<string, A>,
  most: number,
): A[] {
  let size = 0;
  for (const { upload } of kept.values()) size += upload.size;
  const gone: A[] = [];
  for (const [digest, one] of kept) {
    if (size <= most || kept.size === 1) break;
    size -= one.upload.size;
    kept.delete(digest);
    gone.push(one);
  }
  return gone;
}
