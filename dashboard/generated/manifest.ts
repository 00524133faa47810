// Made by `deno task dashboard:build`; do not edit.
import * as r0 from "../../routes/_404.tsx";
import * as r1 from "../../routes/_500.tsx";
import * as r2 from "../../routes/_app.tsx";
import * as r3 from "../../routes/_layout.tsx";
import * as r4 from "../../routes/_middleware.ts";
import * as r5 from "../../routes/index.tsx";
import * as r6 from "../../routes/latency/data.ts";
import * as r7 from "../../routes/latency/index.tsx";
import * as r8 from "../../routes/sign-in.tsx";
import * as i0 from "../../islands/LatencyBoard.tsx";
import * as i1 from "../../islands/RunTable.tsx";
import type { IslandFiles } from "../host/islands.ts";
import type { RouteFiles } from "../host/router.ts";

export const routes: RouteFiles = {
  "_404.tsx": r0,
  "_500.tsx": r1,
  "_app.tsx": r2,
  "_layout.tsx": r3,
  "_middleware.ts": r4,
  "index.tsx": r5,
  "latency/data.ts": r6,
  "latency/index.tsx": r7,
  "sign-in.tsx": r8,
};

export const islands: IslandFiles = {
  "LatencyBoard.tsx": i0,
  "RunTable.tsx": i1,
};
