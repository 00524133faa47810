/**
 * Many readers of one run's stream in a process of their own, as browsers are: opens them, says "ready",
 * and prints when all have seen the end, or the time is up.
 * @module
 */
const [address = "", cookie = "", count = "1", events = "1", seconds = "60"] =
  Deno.args;
const readers = Number(count);
const wanted = Number(events);
const times: number[] = [];
let open = 0;
const stop = AbortSignal.timeout(Number(seconds) * 1000);

async function read(): Promise<void> {
  const response = await fetch(address, { headers: { cookie }, signal: stop });
  let rest = "";
  let seen = 0;
  const decoder = new TextDecoder();
  for await (const chunk of response.body!) {
    if (rest === "" && seen === 0 && ++open === readers) console.log("ready");
    rest += decoder.decode(chunk, { stream: true });
    for (let end; (end = rest.indexOf("\n\n")) >= 0;) {
      const sent = /"delta":"([\d.]+)"/.exec(rest.slice(0, end));
      rest = rest.slice(end + 2);
      if (sent === null) continue;
      times.push(performance.timeOrigin + performance.now() - Number(sent[1]));
      if (++seen === wanted) return;
    }
  }
}

const ends = await Promise.allSettled(Array.from({ length: readers }, read));
console.log(JSON.stringify({
  times,
  whole: ends.filter(({ status }) => status === "fulfilled").length,
}));
