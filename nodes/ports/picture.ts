/**
 * Ports of pictures and their tiles.
 * @module
 */
import { Effect, Schema, SchemaTransformation } from "effect";
import { definePort, type PortType } from "../../pipeline/mod.ts";
import { digestBytes, digestFile, fileStamp } from "../digest.ts";
import { isNamed } from "../values.ts";
import type {
  Image as ImageValue,
  ImageSource as ImageSourceValue,
  Tiles as TilesValue,
} from "../values.ts";
import { isRecord, isTensor, tensorDigest, tensorPreview } from "./tensor.ts";

/**
 * Whether a value is a decoded picture whose pixel count fits its size.
 *
 * ```ts
 * import { isImage } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const gray = { width: 2, height: 1, data: new Uint8Array(6).fill(128) };
 * assert.ok(isImage(gray));
 * assert.ok(!isImage({ ...gray, height: 2 }));
 * ```
 */
export function isImage(value: unknown): value is ImageValue {
  return isRecord(value) && Number.isSafeInteger(value.width) &&
    Number.isSafeInteger(value.height) && value.data instanceof Uint8Array &&
    value.data.length ===
      (value.width as number) * (value.height as number) * 3;
}

const isTiles = (value: unknown): value is TilesValue =>
  isRecord(value) && isTensor(value.pixels) && Array.isArray(value.grid);

/** A picture's path, or what stands for it. */
export const describeSource = (source: ImageSourceValue): string =>
  typeof source === "string"
    ? (source.startsWith("data:") ? "data URL" : source)
    : source instanceof URL
    ? source.href
    : source instanceof Uint8Array
    ? `${source.length} bytes`
    : isNamed(source)
    ? source.name
    : source.source ?? `${source.width}×${source.height} pixels`;

const dataUrl = (bytes: Uint8Array<ArrayBuffer>, name?: string): string =>
  `data:application/octet-stream${
    name === undefined ? "" : `;name=${encodeURIComponent(name)}`
  };base64,${bytes.toBase64()}`;

/** The bytes in a `data:` URL, and their name if they have one; any other text is a path. */
function sourceOf(text: string): ImageSourceValue {
  const comma = text.startsWith("data:") ? text.indexOf(";base64,") : -1;
  if (comma < 0) return text;
  try {
    const bytes = Uint8Array.fromBase64(text.slice(comma + 8));
    const [, name] = /;name=([^;,]+)/.exec(text.slice(0, comma)) ?? [];
    return name === undefined
      ? bytes
      : { name: decodeURIComponent(name), bytes };
  } catch {
    return text;
  }
}

/** The pixels without the icon, which is made again and has no use in JSON. */
const pixelsOf = ({ width, height, data, source }: ImageValue) => ({
  width,
  height,
  data,
  ...(source === undefined ? {} : { source }),
});

const PixelsSchema = Schema.toCodecJson(Schema.Struct({
  width: Schema.Int,
  height: Schema.Int,
  data: Schema.Uint8Array,
  source: Schema.optionalKey(Schema.String),
})) as Schema.Codec<Omit<ImageValue, "icon">, unknown>;

const ImageSourceValueSchema: Schema.Codec<ImageSourceValue> = Schema.declare<
  ImageSourceValue
>(
  (value): value is ImageSourceValue =>
    typeof value === "string" || value instanceof URL ||
    value instanceof Uint8Array || isNamed(value) ||
    isImage(value),
  { title: "ImageSource" },
);

/** A picture to load: a path, a `file:` URL, the file's bytes with or without a name, or decoded pixels. */
export type ImageSource = ImageSourceValue;

/**
 * A picture to load. In JSON: a path, a `data:` URL with the file's bytes and, as `;name=`, its name, or
 * `{width, height, data}` with pixels in base64.
 *
 * ```ts
 * import { ImageSource } from "@tessera/sdk";
 * import { Schema } from "effect";
 * import assert from "node:assert/strict";
 *
 * const decode = Schema.decodeUnknownSync(ImageSource.schema!);
 * assert.equal(decode("photo.jpg"), "photo.jpg");
 * assert.deepEqual(decode("data:image/gif;base64,R0lG"), Uint8Array.of(71, 73, 70));
 * ```
 */
export const ImageSource: PortType<"ImageSource", ImageSourceValue> =
  definePort({
    name: "ImageSource",
    schema: Schema.Union([Schema.String, PixelsSchema]).pipe(Schema.decodeTo(
      ImageSourceValueSchema,
      SchemaTransformation.transform<
        ImageSourceValue,
        string | typeof PixelsSchema.Type
      >({
        decode: (json) => typeof json === "string" ? sourceOf(json) : json,
        encode: (source) =>
          typeof source === "string"
            ? source
            : source instanceof URL
            ? source.href
            : source instanceof Uint8Array
            ? dataUrl(source)
            : isNamed(source)
            ? dataUrl(source.bytes, source.name)
            : pixelsOf(source),
      }),
    )),
    is: Schema.is(ImageSourceValueSchema),
    expects:
      "a path, a file: URL, a file's bytes (Uint8Array), or pixels { width, height, data: Uint8Array } " +
      "with 3 bytes each",
    digest: (source) =>
      source instanceof Uint8Array
        ? digestBytes(source, "bytes")
        : isNamed(source)
        ? digestBytes(source.bytes, "bytes")
        : isImage(source)
        ? digestBytes(source.data, `${source.width}x${source.height}`)
        : digestFile(source),
    stamp: (source) =>
      typeof source === "string" || source instanceof URL
        ? fileStamp(source)
        : Effect.succeed(""),
    preview: describeSource,
  });

/** A decoded picture: 8-bit RGB, row-major. */
export type Image = ImageValue;

/**
 * A decoded RGB picture.
 *
 * ```ts
 * import { Image } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const pixel = { width: 1, height: 1, data: Uint8Array.of(255, 0, 0) };
 * assert.ok(Image.is!(pixel));
 * assert.deepEqual(Image.preview(pixel), { width: 1, height: 1, source: null });
 * ```
 */
export const Image: PortType<"Image", ImageValue> = definePort({
  name: "Image",
  is: isImage,
  digest: (image: ImageValue) =>
    digestBytes(image.data, `${image.width}x${image.height}`),
  preview: (image: ImageValue) => ({
    width: image.width,
    height: image.height,
    source: image.source ?? null,
    ...(image.icon === undefined ? {} : { icon: image.icon }),
  }),
});

/** Model-ready tiles of one picture: float32 [n, 3, S, S]. */
export type Tiles = TilesValue;

/** Normalised tiles of one picture. */
export const Tiles: PortType<"Tiles", TilesValue> = definePort({
  name: "Tiles",
  is: isTiles,
  digest: (tiles: TilesValue) => tensorDigest(tiles.pixels),
  preview: (tiles: TilesValue) => ({
    ...tensorPreview(tiles.pixels),
    grid: [...tiles.grid],
    thumbnail: tiles.thumbnail,
  }),
});
