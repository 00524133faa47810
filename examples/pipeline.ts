/**
 * A graph of your own: one picture is seen once and asked about several times. `toMermaid` draws it,
 * `toDocument` makes a document of it.
 *
 *   deno run --allow-read --allow-env --allow-ffi --allow-sys examples/pipeline.ts
 */
import {
  decode,
  GenerationSettings,
  ImageSource,
  InternVL,
  joinTiles,
  list,
  load,
  pipeline,
  project,
  promptTemplate,
  Text,
  thumbnail,
  tile,
  toMermaid,
  visionEncode,
} from "@tessera/sdk";

/** Questions about one picture; the vision tower runs once for all of them. */
export const interview = pipeline("interview", (g) => {
  const source = g.input("image", ImageSource);
  const questions = g.input("questions", list(Text));
  const { image } = g.add(load, { source });
  const grid = g.add(tile, { image }, { maxTiles: 6 });
  const whole = g.add(thumbnail, { image }, { maxTiles: 6 });
  const { tiles } = g.add(joinTiles, { ...grid, ...whole });
  const { features } = g.add(visionEncode, { tiles }, undefined, {
    // A busy device is no reason to give up.
    retry: { times: 2, delayMs: 100 },
  });
  const { tokens } = g.add(project, { features });
  const { prompt } = g.each(promptTemplate, {
    question: questions,
    images: g.list(tiles),
  });
  const { completion } = g.each(decode, {
    prompt,
    tokens: g.list(tokens),
    settings: g.constant(GenerationSettings, { maxNewTokens: 32 }),
  });
  return { answers: completion };
});

if (import.meta.main) {
  console.log(toMermaid(interview));
  await using model = await InternVL.load("models/nano");
  const questions = [
    "What is in the picture?",
    "How many shapes are there?",
    "Is there a red circle?",
  ];
  const { outputs, timings } = await model.run(interview, {
    image: "examples/images/shapes.png",
    questions,
  });
  for (const [index, question] of questions.entries()) {
    console.log(`${question} ${outputs.answers[index]?.text}`);
  }
  console.log(timings);
}
