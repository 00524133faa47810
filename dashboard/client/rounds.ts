/**
 * A conversation in the browser: its rounds, kept up with the stream of the latest.
 * @module
 */
import { useEffect, useRef, useState } from "preact/hooks";
import {
  changed,
  type ChatView,
  isBusy,
  type RoundView,
  withLost,
} from "../../components/chat.ts";

/** The rounds of a conversation, and how they go on. */
export interface Rounds {
  /** All rounds. */
  readonly rounds: readonly RoundView[];
  /** Whether the stream is broken and the browser tries again. */
  readonly away: boolean;
  /** Takes what the server knows, and follows the latest round if it is busy. */
  readonly adopt: (rounds: readonly RoundView[]) => void;
  /** Goes on with a round that was just begun. */
  readonly add: (round: RoundView) => void;
}

/** Keeps the rounds of a conversation. */
export function useRounds(chat: ChatView): Rounds {
  const [rounds, setRounds] = useState(chat.rounds);
  const [away, setAway] = useState(false);
  const source = useRef<EventSource>();

  const follow = ({ id, seq }: RoundView): void => {
    source.current?.close();
    const events = new EventSource(
      `/chat/${chat.id}/events?after=${id}.${seq}`,
    );
    source.current = events;
    const on = (type: string, tell: (data: string) => void) =>
      events.addEventListener(
        type,
        (event) => tell((event as MessageEvent).data),
      );
    // Where the round is over these change nothing; where it is not, no more will be heard of it.
    const over = (): void => {
      events.close();
      setAway(false);
      setRounds(withLost);
    };
    events.onopen = () => setAway(false);
    events.onerror = () =>
      events.readyState === EventSource.CLOSED ? over() : setAway(true);
    on("change", (data) =>
      setRounds((rounds) => [
        ...rounds.slice(0, -1),
        changed(rounds.at(-1)!, JSON.parse(data)),
      ]));
    on("chat", (data) => {
      const { rounds } = JSON.parse(data) as ChatView;
      if (rounds.some((round) => round.id === id)) setRounds(rounds);
      else over();
    });
    on("end", over);
  };

  const adopt = (rounds: readonly RoundView[]): void => {
    setRounds(rounds);
    const latest = rounds.at(-1);
    if (isBusy(latest)) follow(latest!);
  };

  useEffect(() => {
    adopt(rounds);
    const leave = () => source.current?.close();
    addEventListener("pagehide", leave);
    return () => {
      removeEventListener("pagehide", leave);
      leave();
    };
  }, []);

  return {
    rounds,
    away,
    adopt,
    add: (round) => {
      setRounds((rounds) => [...rounds, round]);
      follow(round);
    },
  };
}
