/**
 * Colours of stages, the same everywhere.
 * @module
 */

const known: Readonly<Record<string, number>> = {
  sample: 5,
  load: 0,
  "video-sample": 0,
  tile: 1,
  thumbnail: 2,
  "join-tiles": 2,
  "join-frames": 5,
  "join-tokens": 3,
  "vision-encode": 4,
  project: 3,
  "prompt-template": 6,
  queue: 9,
  prefill: 7,
  decode: 8,
};

/** The class that colours a stage. */
export function stageClass(name: string): string {
  let index = known[name];
  if (index === undefined) {
    index = 0;
    for (const letter of name) index = (index * 31 + letter.charCodeAt(0)) % 9;
  }
  return `stage-${index}`;
}
