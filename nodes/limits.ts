/**
 * Bounds that several parts hold to. Nothing is imported here: workers read it, too.
 * @module
 */

/** The most tiles that one picture is cut into: the most that the models of the family were made for. */
export const mostTiles = 40;

/**
 * Characters of a prompt, a history or a conversation that a preview shows: more than people read, and
 * far less than the body of a request, which a run store would otherwise keep several times.
 */
export const mostShown = 65_536;

/** Characters that each of several texts may show together: its share, and enough to say what it is about. */
export const shownEach = (texts: number): number =>
  Math.max(200, Math.floor(mostShown / texts));
