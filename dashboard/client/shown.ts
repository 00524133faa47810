/**
 * What a page shows, kept up to date in the browser.
 * @module
 */
import { useEffect, useState } from "preact/hooks";
import { afterChange, type Shown, type ShownChange } from "../shown.ts";
import { useClock } from "./clock.ts";
import { follow } from "./live.ts";

/** How often times such as "has said nothing for long" are looked at, in milliseconds. */
const every = 10_000;

/** What a page shows, with what its stream tells; from the moment when the page was made. */
export function useShown<H, P>(
  path: string,
  first: Shown<H, P>,
  moment: number,
): {
  readonly shown: Shown<H, P>;
  readonly now: number;
  readonly live: boolean;
  readonly away: boolean;
} {
  const [shown, setShown] = useState(first);
  const { now, tick } = useClock(moment);
  const [away, setAway] = useState(false);
  const [live, setLive] = useState(false);
  useEffect(() => {
    setLive(true);
    const stop = follow(path, moment, (data) => {
      setShown((shown) => afterChange(shown, data as ShownChange<H, P>));
      tick();
    }, { onAway: setAway });
    const timer = setInterval(tick, every);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, [path]);
  return { shown, now, live, away };
}
