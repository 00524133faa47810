/**
 * Pictures and videos, exactly as the reference sees them: sharp decodes, our own resampler resizes as
 * Pillow does, the numbers come out as torchvision's; videos are sampled frame by frame with node-av
 * or ffmpeg.
 * @module
 */
export {
  imageProcessor,
  type ImageProcessorOptions,
  imageProcessorWith,
} from "./image_processor.ts";
export {
  videoProcessor,
  type VideoProcessorOptions,
  videoProcessorWith,
} from "./video_processor.ts";
export { type PictureFormat, sniff, type Sniffed } from "./sniff.ts";
export { diagnose, type MediaDiagnosis, type Part } from "./diagnose.ts";
export { findTileGrid, type Grid } from "./grid.ts";
export { type PassOrder, resizeBicubic } from "./resample.ts";
export { MAX_SEGMENTS, sampleIndices } from "./sample_indices.ts";
export { IMAGENET_MEAN, IMAGENET_STD } from "./normalise.ts";
