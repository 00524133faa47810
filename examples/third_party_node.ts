/** A node kind of somebody else, published as a plugin: `grayscale`. */
import * as tessera from "@tessera/sdk";
import { Effect, Schema } from "effect";

const share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }));

/** Takes the colour out of a picture, by the luma weights of ITU-R BT.601. */
export const grayscale = tessera.defineNode({
  kind: "grayscale",
  description: "Takes the colour out of a picture, a share of it or all.",
  inputs: { image: tessera.Image },
  outputs: { gray: tessera.ImageSource },
  params: Schema.Struct({ amount: share }),
  memoize: true,
  run: ({ image }, { amount }) =>
    Effect.sync(() => {
      const data = image.data.slice();
      for (let i = 0; i < data.length; i += 3) {
        const [r = 0, g = 0, b = 0] = data.subarray(i, i + 3);
        const luma = 0.299 * r + 0.587 * g + 0.114 * b;
        data.set([r, g, b].map((c) => Math.round(c + amount * (luma - c))), i);
      }
      return { gray: { width: image.width, height: image.height, data } };
    }),
});

/** What `makeRegistry`, `tessera run --plugin` and `graph --plugin` take. */
export default tessera.definePlugin({ name: "gray", nodes: [grayscale] });

/** A foreign node between two of ours: what does the model see in gray? */
export const askInGray = tessera.pipeline("ask-in-gray", (g) => {
  const source = g.input("image", tessera.ImageSource);
  const question = g.input("question", tessera.Text);
  const { image } = g.add(tessera.load, { source });
  const { gray } = g.add(grayscale, { image }, { amount: 1 });
  return g.add(tessera.chatPipeline(), { images: g.list(gray), question });
});
