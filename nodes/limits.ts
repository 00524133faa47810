/**
 * Bounds that several parts hold to. Nothing is imported here: workers read it, too.
 * @module
 */

/** The most tiles that one picture is cut into: the most that the models of the family were made for. */
export const mostTiles = 40;
