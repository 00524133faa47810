/**
 * The server's time in the browser, whose own clock may be wrong.
 * @module
 */
import { useEffect, useRef, useState } from "preact/hooks";

/** What a page takes to arrive; a smaller difference of two clocks is taken for that, in milliseconds. */
const arrival = 10_000;

/** The time of the server: when it made the page, and later, at each tick. */
export function useClock(
  made: number,
): { readonly now: number; readonly tick: () => void } {
  const [now, setNow] = useState(made);
  const ahead = useRef(0);
  useEffect(() => {
    const difference = made - Date.now();
    if (Math.abs(difference) > arrival) ahead.current = difference;
  }, []);
  return { now, tick: () => setNow(Date.now() + ahead.current) };
}
