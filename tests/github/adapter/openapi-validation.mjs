// Checks a request against the slice of GitHub's own OpenAPI description in ../openapi/slice.json, and against the few
// rules that GitHub enforces and the description does not state. Pure but for reading the slice once; a request in, a
// list of `{rule, detail}` out.
import { readFileSync } from "node:fs";
import addFormats from "ajv-formats";
import Ajv from "ajv";

const MULTI_SEGMENT = new Set(["path", "ref", "basehead", "branch", "dir"]);

export function loadValidator(file = new URL("../openapi/slice.json", import.meta.url)) {
  const slice = JSON.parse(readFileSync(file, "utf8"));
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  const operations = readOperations(slice);
  const compiled = new Map();

  /** Schemas are compiled on first use: a run meets a dozen of them, not two hundred. */
  function check(schema, value, coerce) {
    if (!compiled.has(schema)) compiled.set(schema, ajv.compile(jsonSchema(schema, slice)));
    const validate = compiled.get(schema);
    return validate(coerce ? coerced(value, resolveRef(schema, slice)) : value) ? [] : validate.errors;
  }

  /** @param {{method: string, path: string, query: URLSearchParams, body: unknown, appJwt: boolean}} request */
  return function validate(request) {
    const candidates = operations.filter((operation) => operation.pattern.test(request.path));
    if (!candidates.length) return [{ rule: "unknown-path", detail: `${request.path} is not in GitHub's API slice` }];
    const operation = candidates.find((candidate) => candidate.method === request.method);
    if (!operation)
      return [{ rule: "wrong-method", detail: `${request.method} is not offered on ${candidates[0].path}` }];
    return [
      ...checkPath(operation, request.path, check),
      ...checkQuery(operation, request.query, check),
      ...checkBody(operation, request.body, check, slice),
      ...checkCaller(operation, request.appJwt),
      ...unstatedRules(operation, request.body),
    ];
  };
}

function readOperations(slice) {
  const all = Object.entries(slice.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      path,
      method: method.toUpperCase(),
      names: [...path.matchAll(/\{([^}]+)\}/g)].map((match) => match[1]),
      pattern: new RegExp(
        `^${path.replace(/\{([^}]+)\}/g, (_, name) => (MULTI_SEGMENT.has(name) ? "(.+)" : "([^/]+)"))}$`,
      ),
      parameters: operation.parameters.map((parameter) => resolveRef(parameter, slice)),
    })),
  );
  // Fixed words before placeholders: `/commits/{ref}/check-runs` must win over `/commits/{ref}`.
  return all.sort((left, right) => weight(right) - weight(left));
}

function weight({ path, names }) {
  return path.split("/").length * 10 - names.filter((name) => MULTI_SEGMENT.has(name)).length - names.length;
}

function checkPath(operation, path, check) {
  const values = operation.pattern.exec(path).slice(1).map(decodeURIComponent);
  return operation.names.flatMap((name, index) => {
    const parameter = operation.parameters.find((candidate) => candidate.in === "path" && candidate.name === name);
    return parameter ? report("path", name, check(parameter.schema, values[index], true)) : [];
  });
}

function checkQuery(operation, query, check) {
  const known = operation.parameters.filter((parameter) => parameter.in === "query");
  const found = [...query.keys()].flatMap((name) => {
    const parameter = known.find((candidate) => candidate.name === name);
    if (!parameter) return [{ rule: "query", detail: `unknown query parameter '${name}'` }];
    return report("query", name, check(parameter.schema, query.get(name), true));
  });
  const tooMany = Number(query.get("per_page") ?? 0) > 100;
  if (tooMany) found.push({ rule: "query", detail: "per_page is at most 100" });
  const missing = known.filter((parameter) => parameter.required && !query.has(parameter.name));
  return [...found, ...missing.map(({ name }) => ({ rule: "query", detail: `missing query parameter '${name}'` }))];
}

function checkBody(operation, body, check, slice) {
  const { requestBody } = operation;
  const schema = requestBody?.content?.["application/json"]?.schema;
  if (body === null || body === undefined) {
    return requestBody?.required ? [{ rule: "body", detail: "a JSON body is required" }] : [];
  }
  if (!schema) {
    const empty = typeof body === "object" && Object.keys(body).length === 0;
    return empty ? [] : [{ rule: "body", detail: "this request takes no body" }];
  }
  if (typeof body !== "object") return [{ rule: "body", detail: "not JSON" }];
  return [...report("body", "", check(schema, body, false)), ...unknownMembers(schema, body, slice, "")];
}

/** GitHub ignores members it does not know, so a misspelt one is lost in silence; here it is said. */
function unknownMembers(schema, value, slice, at) {
  const { properties, items } = resolveRef(schema, slice);
  if (Array.isArray(value)) {
    return items ? value.flatMap((item, index) => unknownMembers(items, item, slice, `${at}/${index}`)) : [];
  }
  if (!properties || !value || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, member]) =>
    key in properties
      ? unknownMembers(properties[key], member, slice, `${at}/${key}`)
      : [{ rule: "body", detail: `unknown member '${at}/${key}'` }],
  );
}

function checkCaller(operation, appJwt) {
  if (appJwt || operation.enabledForGitHubApps !== false) return [];
  return [{ rule: "caller", detail: `${operation.operationId} takes an App JWT, not an installation token` }];
}

/** What api.github.com refuses or quietly alters although the description allows it. */
function unstatedRules({ operationId }, body) {
  if (!["checks/create", "checks/update"].includes(operationId) || !body) return [];
  const completed = body.status === "completed";
  const concluded = body.conclusion !== undefined && body.conclusion !== null;
  const found = [];
  if (completed && !concluded) found.push({ rule: "check-run", detail: "completed without a conclusion" });
  if (concluded && body.status !== undefined && !completed) {
    found.push({ rule: "check-run", detail: `a conclusion with status '${body.status}'` });
  }
  const reserved = ["stale", "startup_failure"].includes(body.conclusion);
  if (reserved) found.push({ rule: "check-run", detail: `only GitHub may conclude '${body.conclusion}'` });
  return found;
}

function report(rule, name, errors) {
  return errors.map(({ instancePath, message, params }) => {
    const allowed = params?.allowedValues ? `: ${params.allowedValues.join(", ")}` : "";
    return { rule, detail: `${name}${instancePath} ${message}${allowed}`.trim() };
  });
}

function resolveRef(value, slice) {
  if (!value?.$ref) return value ?? {};
  const [, , kind, name] = value.$ref.split("/");
  return resolveRef(slice.components[kind][name], slice);
}

/** OpenAPI 3.0 to JSON Schema: references inlined, `nullable: true` becomes a type, or a choice, that takes null. */
function jsonSchema(value, slice) {
  if (Array.isArray(value)) return value.map((item) => jsonSchema(item, slice));
  if (!value || typeof value !== "object") return value;
  if (value.$ref) return jsonSchema(resolveRef(value, slice), slice);
  const { nullable, ...rest } = value;
  const schema = Object.fromEntries(Object.entries(rest).map(([key, item]) => [key, jsonSchema(item, slice)]));
  if (nullable !== true) return schema;
  if (schema.enum && !schema.enum.includes(null)) schema.enum = [...schema.enum, null];
  if (typeof schema.type === "string") return { ...schema, type: [schema.type, "null"] };
  return { anyOf: [schema, { type: "null" }] };
}

/** Path and query values arrive as text; the description types them. */
function coerced(text, schema) {
  const types = [schema.type, ...(schema.oneOf ?? schema.anyOf ?? []).map((choice) => choice.type)];
  if (types.some((type) => type === "integer" || type === "number") && /^-?\d+(\.\d+)?$/.test(text))
    return Number(text);
  if (types.includes("boolean") && /^(true|false)$/.test(text)) return text === "true";
  if (types.includes("array")) return text.split(",");
  return text;
}
