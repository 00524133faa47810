import assert from "node:assert/strict";
import { readView } from "./list_query.ts";

const view = (query: string) => readView(new URLSearchParams(query));

Deno.test("days are those of the time zone that is named, however long they are", () => {
  const { since, until } = view(
    "from=2026-03-29&to=2026-03-29&zone=Europe/Berlin",
  );
  assert.equal(since, Date.parse("2026-03-29T00:00+01:00"));
  assert.equal(until, Date.parse("2026-03-30T00:00+02:00"));
  assert.equal(
    view("to=2026-03-29T10:15&zone=Asia/Kolkata").until,
    Date.parse("2026-03-29T10:15+05:30"),
  );
});

Deno.test("without a zone, or with one that is none, days are the server's", () => {
  const here = new Date(2026, 2, 29).getTime();
  for (const zone of ["", "Mars/Olympus", "\u0000", "+99:00"]) {
    assert.equal(
      view(`from=2026-03-29&zone=${encodeURIComponent(zone)}`).since,
      here,
      zone,
    );
  }
});

Deno.test("what is no day narrows nothing", () => {
  for (const day of ["y", "2026-02-30", "2026-13-01", "-000001-01-01"]) {
    assert.equal(view(`from=${day}`).since, undefined, day);
  }
});
