// Reads {"logql": [query, ...], "traceql": [...]} as JSON from standard input, and writes for each query the list of
// its syntax errors, as [from, to] positions. The parsers recover from every error: an error is a node of the tree.
import { readFileSync } from "node:fs";
import { parser as logql } from "@grafana/lezer-logql";
import { parser as traceql } from "@grafana/lezer-traceql";

const PARSERS = { logql, traceql };

function errors(parser, query) {
  const found = [];
  parser.parse(query).iterate({
    enter(node) {
      if (node.type.isError) found.push([node.from, node.to]);
    },
  });
  return found;
}

const asked = JSON.parse(readFileSync(0, "utf8"));
const answered = Object.fromEntries(
  Object.entries(asked).map(([language, queries]) => [
    language,
    queries.map((query) => errors(PARSERS[language], query)),
  ]),
);
process.stdout.write(JSON.stringify(answered));
