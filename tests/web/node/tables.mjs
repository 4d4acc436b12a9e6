// Prints, as JSON, the tables that the page and opsvisorctl both have. Reads the processes to judge.

import { readFileSync } from "node:fs";

import { SIGNALS } from "../../../opsvisor/web/static/actions.js";
import { STATES, rankOf, signalName } from "../../../opsvisor/web/static/states.js";
import { MOST_SAMPLES } from "../../../opsvisor/web/static/store.js";

const processes = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify({
  ranks: processes.map(rankOf),
  states: STATES,
  signals: SIGNALS,
  names: Array.from({ length: 32 }, (_, number) => signalName(number)),
  samples: MOST_SAMPLES,
}));
