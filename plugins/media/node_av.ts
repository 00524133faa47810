/**
 * Loading node-av.
 * @module
 */

/** The parts of node-av that are used. */
export type NodeAv =
  & typeof import("node-av/lib")
  & typeof import("node-av/constants");

/** Loads node-av, which brings a library of 175 MB; throws when it is not installed or may not load. */
export async function loadNodeAv(): Promise<NodeAv> {
  const [lib, constants] = await Promise.all([
    import("node-av/lib"),
    import("node-av/constants"),
  ]);
  lib.Log.setLevel(constants.AV_LOG_QUIET);
  return { ...lib, ...constants };
}
