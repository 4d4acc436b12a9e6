// Asks pm2, in node: see remote.py. pm2_asker.js WHERE-PM2-IS PROGRAM, with PM2_HOME set.
"use strict";

const [home, name] = process.argv.slice(2);
const pm2 = require(home);

function fail(error) {
  process.stderr.write(`${error}\n`);
  process.exit(1);
}

function one(times, done) {
  if (times === 0) return done();
  pm2.describe(name, (error) => (error ? fail(error) : one(times - 1, done)));
}

function answer(line) {
  const [what, number] = line.split(" ");
  if (what === "all") {
    pm2.list((error, found) => {
      if (error) fail(error);
      process.stdout.write(`${found.filter((one) => one.pm2_env.status === "online").length}\n`);
    });
  } else if (what === "one") {
    one(Number(number), () => process.stdout.write("0\n"));
  } else {
    fail(`cannot ${line}`);
  }
}

// Nothing is read before it is connected: it would never be answered.
pm2.connect(false, (error) => {
  if (error) fail(error);
  const lines = require("readline").createInterface({ input: process.stdin });
  lines.on("line", answer);
  lines.on("close", () => process.exit(0));
});
