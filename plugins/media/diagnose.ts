/**
 * What this machine can read, for the `doctor` command.
 * @module
 */
import { Effect } from "effect";
import { loadSharp } from "./decode.ts";

import { Resampler } from "./kernel.ts";
import { loadNodeAv } from "./node_av.ts";
import { ffmpegVersion } from "./programs.ts";

/** A part that is there, or why it is not and what would help. */
export type Part<A> =
  | ({ readonly ok: true } & A)
  | { readonly ok: false; readonly problem: string };

/** What {@link diagnose} finds. */
export interface MediaDiagnosis {
  /** The picture decoder. */
  readonly sharp: Part<{
    /** Version of sharp. */
    readonly version: string;
    /** Version of libvips under it. */
    readonly libvips: string;
    /** Kinds of pictures that can be read, such as `jpeg`. */
    readonly formats: readonly string[];
  }>;
  /** The WebAssembly resampler; without it a slower one in TypeScript is used. */
  readonly simd: Part<Record<never, never>>;
  /** The default video reader. */
  readonly nodeAv: Part<{
    /** Version of FFmpeg in it. */
    readonly ffmpeg: string;
    /** The licence of its binary, which follows from how FFmpeg was configured. */
    readonly licence: string;
    /** Codecs that can be decoded, of those that are common in files. */
    readonly codecs: readonly string[];
  }>;
  /** The fallback video reader: the programs on the PATH. */
  readonly ffmpeg: Part<{
    /** Version of `ffmpeg`. */
    readonly version: string;
    /** Version of `ffprobe`. */
    readonly probeVersion: string;
  }>;
}

/**
 * Looks at the decoders of pictures and videos. Loads sharp and node-av, which takes a part of a
 * second, and asks for no permission: what is not granted is reported as a problem.
 */
export const diagnose: Effect.Effect<MediaDiagnosis> = Effect.gen(function* () {
  return {
    sharp: yield* part(
      async () => {
        await needs({ name: "ffi" }, "--allow-ffi");
        await needs({ name: "env" }, "--allow-env");
        const sharp = await loadSharp();
        const formats = ["jpeg", "png", "webp", "gif", "tiff"].filter((kind) =>
          sharp.format[kind as "jpeg"]?.input.buffer === true
        );
        if (sharp.format.heif?.input.buffer === true) formats.push("avif");
        const { sharp: version = "unknown", vips } = sharp.versions;
        return { version, libvips: vips, formats };
      },
    ),
    simd: yield* part(() => Promise.resolve(new Resampler()).then(() => ({}))),
    nodeAv: yield* part(async () => {
      await needs({ name: "ffi" }, "--allow-ffi");
      await needs({ name: "env" }, "--allow-env");
      const av = await loadNodeAv();
      const { version, configuration } = av.getFFmpegInfo();
      const ids = {
        "H.264": av.AV_CODEC_ID_H264,
        "H.265": av.AV_CODEC_ID_HEVC,
        VP8: av.AV_CODEC_ID_VP8,
        VP9: av.AV_CODEC_ID_VP9,
        AV1: av.AV_CODEC_ID_AV1,
        "MPEG-2": av.AV_CODEC_ID_MPEG2VIDEO,
        "MPEG-4": av.AV_CODEC_ID_MPEG4,
        MJPEG: av.AV_CODEC_ID_MJPEG,
        ProRes: av.AV_CODEC_ID_PRORES,
        GIF: av.AV_CODEC_ID_GIF,
      };
      return {
        ffmpeg: version,
        licence: licence(configuration),
        codecs: Object.entries(ids)
          .filter(([, id]) => av.Codec.findDecoder(id) !== null)
          .map(([name]) => name),
      };
    }),
    ffmpeg: yield* part(async (signal) => {
      for (const command of ["ffmpeg", "ffprobe"]) {
        await needs(
          { name: "run", command },
          "--allow-run=ffmpeg,ffprobe",
        );
      }
      return {
        version: await ffmpegVersion("ffmpeg", signal),
        probeVersion: await ffmpegVersion("ffprobe", signal),
      };
    }),
  };
});

/** FFmpeg is under the LGPL 2.1 unless parts under other licences are compiled in. */
function licence(configuration: string): string {
  const version3 = configuration.includes("--enable-version3");
  if (configuration.includes("--enable-nonfree")) return "not redistributable";
  if (configuration.includes("--enable-gpl")) {
    return version3 ? "GPL 3" : "GPL 2 or later";
  }
  return version3 ? "LGPL 3" : "LGPL 2.1 or later";
}

async function needs(
  permission: Deno.PermissionDescriptor,
  flag: string,
): Promise<void> {
  const { state } = await Deno.permissions.query(permission);
  if (state !== "granted") throw new Error(`not allowed; run with ${flag}`);
}

function part<A>(
  look: (signal: AbortSignal) => Promise<A>,
): Effect.Effect<Part<A>> {
  return Effect.promise(async (signal): Promise<Part<A>> => {
    try {
      return { ok: true, ...await look(signal) };
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      return { ok: false, problem: said.split("\n")[0] };
    }
  });
}
