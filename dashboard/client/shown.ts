/**
 * What a page shows, kept up to date in the browser.
 * @module
 */
import { useEffect, useState } from "preact/hooks";
import { afterChange, type Shown, type ShownChange } from "../shown.ts";
import { follow } from "./live.ts";

/** How often times such as "has said nothing for long" are looked at, in milliseconds. */
const tick = 10_000;

/** What a page shows, with what its stream tells; from the moment when the page was made. */
export function useShown<H, P>(
  path: string,
  first: Shown<H, P>,
  moment: number,
): {
  readonly shown: Shown<H, P>;
  readonly now: number;
  readonly live: boolean;
} {
  const [shown, setShown] = useState(first);
  const [now, setNow] = useState(moment);
  const [live, setLive] = useState(false);
  useEffect(() => {
    setLive(true);
    const stop = follow(path, moment, (data) => {
      setShown((shown) => afterChange(shown, data as ShownChange<H, P>));
      setNow(Date.now());
    });
    const timer = setInterval(() => setNow(Date.now()), tick);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, [path]);
  return { shown, now, live };
}
