// Made by `deno task dashboard:build`; do not edit.
import * as r0 from "../../routes/_404.tsx";
import * as r1 from "../../routes/_500.tsx";
import * as r2 from "../../routes/_app.tsx";
import * as r3 from "../../routes/_layout.tsx";
import * as r4 from "../../routes/_middleware.ts";
import * as r5 from "../../routes/batches/[id]/data.ts";
import * as r6 from "../../routes/batches/[id]/delete.ts";
import * as r7 from "../../routes/batches/[id]/export.ts";
import * as r8 from "../../routes/batches/[id]/index.tsx";
import * as r9 from "../../routes/batches/compare.tsx";
import * as r10 from "../../routes/batches/data.ts";
import * as r11 from "../../routes/batches/index.tsx";
import * as r12 from "../../routes/export.ts";
import * as r13 from "../../routes/index.tsx";
import * as r14 from "../../routes/latency/data.ts";
import * as r15 from "../../routes/latency/index.tsx";
import * as r16 from "../../routes/live.ts";
import * as r17 from "../../routes/runs/[id]/icon.ts";
import * as r18 from "../../routes/runs/[id]/live.ts";
import * as r19 from "../../routes/runs/actions.ts";
import * as r20 from "../../routes/sign-in.tsx";
import * as i0 from "../../islands/BatchGrid.tsx";
import * as i1 from "../../islands/BatchTable.tsx";
import * as i2 from "../../islands/LatencyBoard.tsx";
import * as i3 from "../../islands/RunTable.tsx";
import type { IslandFiles } from "../host/islands.ts";
import type { RouteFiles } from "../host/router.ts";

export const routes: RouteFiles = {
  "_404.tsx": r0,
  "_500.tsx": r1,
  "_app.tsx": r2,
  "_layout.tsx": r3,
  "_middleware.ts": r4,
  "batches/[id]/data.ts": r5,
  "batches/[id]/delete.ts": r6,
  "batches/[id]/export.ts": r7,
  "batches/[id]/index.tsx": r8,
  "batches/compare.tsx": r9,
  "batches/data.ts": r10,
  "batches/index.tsx": r11,
  "export.ts": r12,
  "index.tsx": r13,
  "latency/data.ts": r14,
  "latency/index.tsx": r15,
  "live.ts": r16,
  "runs/[id]/icon.ts": r17,
  "runs/[id]/live.ts": r18,
  "runs/actions.ts": r19,
  "sign-in.tsx": r20,
};

export const islands: IslandFiles = {
  "BatchGrid.tsx": i0,
  "BatchTable.tsx": i1,
  "LatencyBoard.tsx": i2,
  "RunTable.tsx": i3,
};
