/**
 * From bytes to the model's numbers, in the float32 arithmetic of torchvision's `ToTensor` and
 * `Normalize`: divide by 255, subtract the channel's mean, divide by its standard deviation, rounding
 * to float32 after each step.
 * @module
 */

/** Mean of each channel (red, green, blue) over ImageNet. */
export const IMAGENET_MEAN: readonly number[] = [0.485, 0.456, 0.406];
/** Standard deviation of each channel over ImageNet. */
export const IMAGENET_STD: readonly number[] = [0.229, 0.224, 0.225];

/** The 256 normalised values of red, then those of green, then those of blue. */
export function normalisationTable(): Float32Array<ArrayBuffer> {
  const { fround } = Math;
  const table = new Float32Array(3 * 256);
  for (let channel = 0; channel < 3; channel++) {
    const mean = fround(IMAGENET_MEAN[channel]);
    const std = fround(IMAGENET_STD[channel]);
    for (let value = 0; value < 256; value++) {
      table[256 * channel + value] = fround(
        fround(fround(value / 255) - mean) / std,
      );
    }
  }
  return table;
}
