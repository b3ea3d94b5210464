// Signs requests with a library that others wrote, sends them, and prints the status of each as JSON.
// Input: {library, url, keyid, pem, covered: [names without a body], requests: [{method, target, body?, headers?}]}

import { createHash, createPrivateKey, sign } from "node:crypto";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const given = JSON.parse(Buffer.concat(chunks).toString());
const key = createPrivateKey(given.pem);
const now = Math.floor(Date.now() / 1000);

async function withHttpMessageSignatures(request, components) {
  const { httpbis } = require("http-message-signatures");
  const signed = await httpbis.signMessage(
    {
      key: { id: given.keyid, alg: "ed25519", sign: async (data) => sign(null, data, key) },
      name: "sig1",
      fields: components,
      params: ["created", "keyid", "alg", "tag"],
      paramValues: { tag: "loyalty-v1", created: new Date(now * 1000) },
    },
    request,
  );
  return signed.headers;
}

async function withHttpMessageSig(request, components) {
  const { createSignature } = require("http-message-sig");
  const descriptor = {
    kind: "request",
    method: request.method,
    targetUri: request.url,
    fields: Object.entries(request.headers).map(([name, value]) => ({ name, value })),
  };
  const fields = await createSignature(descriptor, {
    label: "theirs",
    components,
    parameters: { created: now, expires: now + 300, keyid: given.keyid, nonce: "n-1", tag: "loyalty-v1" },
    signer: { algorithm: "ed25519", sign: (data) => new Uint8Array(sign(null, data, key)) },
  });
  return { ...request.headers, "Signature-Input": fields.signatureInput, Signature: fields.signature };
}

const signing = { "http-message-signatures": withHttpMessageSignatures, "http-message-sig": withHttpMessageSig };
const statuses = [];
for (const each of given.requests) {
  const headers = { ...each.headers };
  const components = ["@method", "@authority", "@path", "@query"];
  if (each.body !== undefined) {
    headers["content-type"] = "application/json";
    headers["content-digest"] = `sha-256=:${createHash("sha256").update(each.body).digest("base64")}:`;
    components.push("content-type", "content-digest");
  }
  components.push(...Object.keys(each.headers ?? {}));
  const request = { method: each.method, url: given.url + each.target, headers };
  const signed = await signing[given.library](request, components);
  const body = each.tampered ?? each.body;
  const answer = await fetch(request.url, { method: each.method, headers: signed, body });
  statuses.push([answer.status, await answer.text()]);
}
console.log(JSON.stringify(statuses));
