/**
 * Draws nano's world as SVG and rasterises it with sharp. Text is drawn as outlines of fonts that training
 * never saw, so that a picture is the same on every machine.
 * @module
 */
import { Buffer } from "node:buffer";
import opentype from "opentype.js";
import sharp, { type Sharp } from "sharp";
import { BLOCKED } from "../plugins/media/decode.ts";
import { type Colour, rgb } from "./language.ts";
import type { Random } from "./random.ts";
import type { Chart, Film, Print, Shape, Shapes } from "./world.ts";

// opentype.js comes without types; this is what is used of it.
interface Glyphs {
  getBoundingBox(): { x1: number; y1: number; x2: number; y2: number };
  toPathData(decimals: number): string;
}
interface Parsed {
  charToGlyph(character: string): {
    readonly advanceWidth: number;
    getPath(x: number, y: number, size: number): Glyphs;
  };
  readonly unitsPerEm: number;
}
const { parse } = opentype as unknown as {
  parse(bytes: ArrayBuffer): Parsed;
};

/** A font for printing. */
export interface Font {
  /** Its name. */
  readonly name: string;
  /** The outline of a text as SVG path data whose left top is (0, 0), `height` of a capital, and its size. */
  outline(text: string, capital: number): Outline;
}

/** A text as a path. */
export interface Outline {
  /** SVG path data. */
  readonly path: string;
  /** Width of what is inked. */
  readonly width: number;
  /** Height of what is inked. */
  readonly height: number;
}

const files = [
  ["Lato", "@fontsource/lato/files/lato-latin-400-normal.woff"],
  ["Lato Bold", "@fontsource/lato/files/lato-latin-700-normal.woff"],
  ["Lora", "@fontsource/lora/files/lora-latin-400-normal.woff"],
  [
    "IBM Plex Mono",
    "@fontsource/ibm-plex-mono/files/ibm-plex-mono-latin-500-normal.woff",
  ],
] as const;

/** Loads the fonts of the evaluation: a sans, its bold, a serif, a typewriter's. */
export async function loadFonts(): Promise<readonly Font[]> {
  return await Promise.all(files.map(async ([name, file]) => {
    const bytes = await Deno.readFile(new URL(import.meta.resolve(file)));
    const font = parse(bytes.buffer);
    return {
      name,
      outline(text: string, capital: number): Outline {
        const glyph = (character: string) => font.charToGlyph(character);
        const unit = glyph("H").getPath(0, 0, 1000).getBoundingBox();
        const size = 1000 * capital / (unit.y2 - unit.y1);
        // Letter by letter, without ligatures and kerning.
        let advance = 0;
        const places = [...text].map((character) => {
          const at = advance;
          const found = glyph(character);
          advance += found.advanceWidth * size / font.unitsPerEm;
          return { found, at };
        });
        const boxes = places.map(({ found, at }) =>
          found.getPath(at, 0, size).getBoundingBox()
        );
        const left = Math.min(...boxes.map(({ x1 }) => x1));
        const top = Math.min(...boxes.map(({ y1 }) => y1));
        return {
          path: places.map(({ found, at }) =>
            found.getPath(at - left, -top, size).toPathData(2)
          ).join(""),
          width: Math.max(...boxes.map(({ x2 }) => x2)) - left,
          height: Math.max(...boxes.map(({ y2 }) => y2)) - top,
        };
      },
    };
  }));
}

const css = (channels: readonly number[]) => `rgb(${channels.join(",")})`;

/** The colour, a little off, as prints are. */
function tint(random: Random, colour: Colour): string {
  return css(
    rgb(colour).map((c) => Math.min(255, Math.max(0, c + random.int(-10, 10)))),
  );
}

/** A shape, as SVG. */
function shape(random: Random, s: Shape, w: number, h: number): string {
  const r = s.r * Math.min(w, h);
  const fill = tint(random, s.colour);
  const at = `transform="translate(${s.x * w} ${s.y * h}) rotate(${s.turn})"`;
  const polygon = (points: readonly (readonly number[])[]) =>
    `<polygon ${at} fill="${fill}" points="${
      points.map(([x, y]) => `${x! * r},${y! * r}`).join(" ")
    }"/>`;
  switch (s.kind) {
    case "circle":
      return `<circle ${at} fill="${fill}" r="${r}"/>`;
    case "ring":
      return `<circle ${at} fill="none" stroke="${fill}" stroke-width="${
        0.4 * r
      }" r="${0.8 * r}"/>`;
    case "square":
      return `<rect ${at} fill="${fill}" x="${-0.87 * r}" y="${
        -0.87 * r
      }" width="${1.74 * r}" height="${1.74 * r}"/>`;
    case "triangle":
      return polygon([[0, -1], [0.92, 0.78], [-0.92, 0.78]]);
    case "diamond":
      return polygon([[0, -1.05], [0.78, 0], [0, 1.05], [-0.78, 0]]);
    case "cross":
      return `<g ${at} fill="${fill}"><rect x="${-0.32 * r}" y="${-r}" width="${
        0.64 * r
      }" height="${2 * r}"/><rect x="${-r}" y="${-0.32 * r}" width="${
        2 * r
      }" height="${0.64 * r}"/></g>`;
    case "star":
      return polygon(Array.from({ length: 10 }, (_, i) => {
        const far = i % 2 === 0 ? 1.08 : 0.45;
        return [
          far * Math.sin(Math.PI * i / 5),
          -far * Math.cos(Math.PI * i / 5),
        ];
      }));
  }
}

const svg = (
  w: number,
  h: number,
  background: readonly number[],
  body: string,
): Uint8Array =>
  new TextEncoder().encode(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}"><rect width="100%" height="100%" fill="${
      css(background)
    }"/>${body}</svg>`,
  );

/**
 * Reads an SVG of ours with sharp. Reading pictures closes libvips to SVG for the whole process, since a
 * stranger's SVG is not to be trusted; the evaluation gives the model none but its own pictures, as PNG.
 * A thread that starts to read pictures meanwhile closes it once more.
 */
async function raster<A>(
  picture: Uint8Array,
  read: (image: Sharp) => Promise<A>,
): Promise<A> {
  for (let tries = 1;; tries++) {
    sharp.unblock({ operation: ["VipsForeignLoadSvg"] });
    try {
      return await read(sharp(picture).removeAlpha());
    } catch (error) {
      if (tries === 10 || !BLOCKED.test(`${error}`)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10 * tries));
    }
  }
}

/** PNG bytes of an SVG. */
async function png(picture: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return Uint8Array.from(
    await raster(
      picture,
      (image) => image.png({ compressionLevel: 1 }).toBuffer(),
    ),
  );
}

const shapesSvg = (random: Random, scene: Shapes, w: number, h: number) =>
  svg(
    w,
    h,
    scene.rgb,
    scene.shapes.map((s) => shape(random, s, w, h)).join(""),
  );

/** A picture's size: as wide as high, or up to a half wider or higher. */
export function size(random: Random): [width: number, height: number] {
  const side = random.int(224, 448);
  const aspect = random.chance(0.6) ? 1 : random.between(0.67, 1.5);
  return [
    Math.round(side * Math.max(1, aspect)),
    Math.round(side / Math.min(1, aspect)),
  ];
}

/** Draws shapes; PNG bytes. */
export function drawShapes(
  random: Random,
  scene: Shapes,
): Promise<Uint8Array<ArrayBuffer>> {
  const [w, h] = size(random);
  return png(shapesSvg(random, scene, w, h));
}

/** Draws a printed line: filling a picture of its own shape, or small on a page of at least 1,500 pixels. */
export async function drawPrint(
  random: Random,
  scene: Print,
  fonts: readonly Font[],
): Promise<Uint8Array<ArrayBuffer>> {
  const font = fonts[scene.font]!;
  const page = scene.height > 0;
  const letters = scene.text.length;
  const w = page ? random.int(1500, 1900) : 0;
  const h = page
    ? Math.round(w * random.between(0.7, 0.78))
    : random.int(160, 280);
  const capital = page ? scene.height * h : h * random.between(0.4, 0.6);
  const line = font.outline(scene.text, capital);
  const wide = page
    ? w
    : Math.round(Math.max(line.width / (letters === 1 ? 0.5 : 0.84), 0.9 * h));
  const room = (all: number, ink: number) =>
    0.04 * all + Math.max(0, 0.92 * all - ink);
  const [ax, ay] = page ? scene.at : [0.5, 0.5];
  const x = 0.04 * wide + ax * (room(wide, line.width) - 0.04 * wide);
  const y = 0.04 * h + ay * (room(h, line.height) - 0.04 * h);
  const text = `<path d="${line.path}" fill="${
    tint(random, scene.colour)
  }" transform="rotate(${scene.turn} ${wide / 2} ${
    h / 2
  }) translate(${x} ${y})"/>`;
  const picture = svg(wide, h, scene.rgb, text);
  if (scene.noise === 0) return await png(picture);
  const { data, info } = await raster(
    picture,
    (image) => image.raw().toBuffer({ resolveWithObject: true }),
  );
  for (let i = 0; i < data.length; i += info.channels) {
    const off = random.int(-scene.noise, scene.noise);
    for (let c = i; c < i + info.channels; c++) {
      data[c] = Math.min(255, Math.max(0, data[c]! + off));
    }
  }
  return Uint8Array.from(
    await sharp(data, {
      raw: { width: info.width, height: info.height, channels: 3 },
    }).png({ compressionLevel: 1 }).toBuffer(),
  );
}

/** Draws a bar chart with an axis from 0 to 100; PNG bytes. */
export function drawChart(
  random: Random,
  scene: Chart,
  fonts: readonly Font[],
): Promise<Uint8Array<ArrayBuffer>> {
  const [w, h] = size(random);
  const font = fonts[scene.font]!;
  const small = Math.min(w, h);
  const [left, right, base, high] = [0.12 * w, 0.98 * w, 0.84 * h, 0.73 * h];
  const parts: string[] = [];
  const line = (x1: number, y1: number, x2: number, y2: number, ink: number) =>
    parts.push(
      `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="rgb(${ink},${ink},${ink})" stroke-width="${
        Math.max(1, w / 150)
      }"/>`,
    );
  const print = (
    text: string,
    capital: number,
    x: number,
    y: number,
    end: boolean,
  ) => {
    const { path, width, height } = font.outline(text, capital);
    parts.push(
      `<path fill="rgb(30,30,30)" d="${path}" transform="translate(${
        x - (end ? width : width / 2)
      } ${y - height / 2})"/>`,
    );
  };
  for (let i = 1; scene.lines && i <= 5; i++) {
    line(left, base - high * i / 5, right, base - high * i / 5, 200);
  }
  scene.bars.forEach(({ label, colour, value }, i) => {
    const room = (right - left) / scene.bars.length;
    const x = left + room * (i + 0.5);
    const tall = high * value / 100;
    parts.push(
      `<rect x="${x - room * scene.width / 2}" y="${base - tall}" width="${
        room * scene.width
      }" height="${tall}" fill="${tint(random, colour)}"/>`,
    );
    print(label, 0.085 * small, x, base + 0.075 * h, false);
  });
  line(left, base, right, base, 60);
  line(left, base, left, base - high, 60);
  print("0", 0.043 * small, left - 0.012 * w, base, true);
  print("100", 0.043 * small, left - 0.012 * w, base - high, true);
  return png(svg(w, h, scene.rgb, parts.join("")));
}

/** Writes a video: an animation of 10 frames a second that FFmpeg reads as any other. */
export async function writeFilm(
  random: Random,
  film: Film,
  path: string,
): Promise<void> {
  const side = random.int(180, 280);
  const w = random.chance(0.6) ? side : Math.round(side * 1.33);
  // The same tint in every frame: only what happens may differ.
  const seed = random.int(0, 2 ** 31);
  const frames = await Promise.all(film.frames.map(async (scene) => {
    let drawn = seed;
    const steady: Random = {
      ...random,
      int: (low, high) => low + (drawn++ * 7919 % (high - low + 1)),
    };
    const byPlace = new Map(
      film.frames.flatMap(({ shapes }) => shapes).map((s) => [s.place, s]),
    );
    const picture = scene.shapes.map((s) => {
      drawn = seed + [...byPlace.keys()].indexOf(s.place) * 3;
      return shape(steady, s, w, side);
    });
    return await raster(
      svg(w, side, scene.rgb, picture.join("")),
      (image) => image.raw().toBuffer(),
    );
  }));
  await sharp(Buffer.concat(frames), {
    raw: {
      width: w,
      height: side * frames.length,
      channels: 3,
      pageHeight: side,
    },
  }).gif({ delay: frames.map(() => 100), dither: 0, keepDuplicateFrames: true })
    .toFile(path);
}
