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

/** One value of one channel; mean and deviation are rounded to float32 first. */
export function normaliseByte(
  value: number,
  mean: number,
  deviation: number,
): number {
  const { fround } = Math;
  return fround(
    fround(fround(value / 255) - fround(mean)) / fround(deviation),
  );
}
