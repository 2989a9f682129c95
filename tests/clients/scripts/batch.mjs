// npm's @azure/batch and @azure/arm-batch: a pool's life on both planes, seen from Node.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { BatchServiceClient, BatchSharedKeyCredentials } from "@azure/batch";
import { BatchManagementClient } from "@azure/arm-batch";
import { ClientSecretCredential } from "@azure/identity";

const info = JSON.parse(readFileSync(0, "utf-8"));
const settings = { secretsManagementSettings: { pollingIntervalInS: "300", nested: { deep: [1, true] } } };
const extension = {
  name: "secretext",
  publisher: "Microsoft.Azure.KeyVault",
  type: "KeyVaultForLinux",
  typeHandlerVersion: "1.0",
  autoUpgradeMinorVersion: true,
  settings,
  protectedSettings: { key: "SENTINEL" },
};
const imageReference = { publisher: "canonical", offer: "ubuntuserver", sku: "18.04-lts" };

async function until(what, check) {
  const end = Date.now() + 40000;
  while (Date.now() < end) {
    const answer = await check();
    if (answer) return answer;
    await sleep(100);
  }
  throw new Error(`waited in vain until ${what}`);
}

async function refusal(call) {
  try {
    await call();
  } catch (problem) {
    return [problem.statusCode, problem.body?.code ?? problem.code];
  }
  return ["accepted", null];
}

async function all(pages) {
  const items = [];
  for await (const item of pages) items.push(item);
  return items;
}

async function listNodes(client, pool, options = {}) {
  let page = await client.computeNode.list(pool, { computeNodeListOptions: options });
  const nodes = [...page];
  while (page.odatanextLink) {
    page = await client.computeNode.listNext(page.odatanextLink);
    nodes.push(...page);
  }
  return nodes;
}

async function dataPlane() {
  const credentials = new BatchSharedKeyCredentials(info.account, info.key);
  const client = new BatchServiceClient(credentials, info.http_endpoint);
  const id = "node-data";
  const pool = {
    id,
    vmSize: "Standard_D2_v2",
    virtualMachineConfiguration: { imageReference, nodeAgentSKUId: "batch.node.ubuntu 18.04", extensions: [extension] },
    targetDedicatedNodes: 2,
  };
  await client.pool.add(pool);
  const young = await client.pool.get(id);
  const seen = { exists: (await client.pool.exists(id)).body, young: [young.state, young.allocationState] };
  const grown = await until("the pool is steady", async () => {
    const found = await client.pool.get(id);
    return found.allocationState === "steady" ? found : null;
  });
  seen.steady = [grown.currentDedicatedNodes, grown.eTag === young.eTag];
  seen.poolSettings = grown.virtualMachineConfiguration.extensions[0].settings;
  const nodes = await until("all nodes are idle", async () => {
    const found = await listNodes(client, id, { maxResults: 1 });
    return found.every((node) => node.state === "idle") ? found : null;
  });
  seen.nodes = nodes.length;
  seen.idle = (await listNodes(client, id, { filter: "state eq 'idle'", select: "id,state" })).length;
  const listed = await client.computeNodeExtension.list(id, nodes[0].id);
  seen.extensions = listed.map((item) => item.vmExtension.name).sort();
  const one = await until("the extension has succeeded", async () => {
    const found = await client.computeNodeExtension.get(id, nodes[0].id, "secretext");
    return found.provisioningState === "Succeeded" ? found : null;
  });
  seen.extension = [one.instanceView.statuses[0].code, one.instanceView.statuses[0].level];
  seen.settings = JSON.parse(one.vmExtension.settings);
  const booted = nodes[0].lastBootTime;
  await client.computeNode.reboot(id, nodes[0].id);
  seen.rebooted = await until("the node has booted again", async () => {
    const node = await client.computeNode.get(id, nodes[0].id);
    return node.state === "idle" && node.lastBootTime > booted;
  });
  const stranger = new BatchServiceClient(
    new BatchSharedKeyCredentials(info.account, "bm8gc3VjaCBrZXk="),
    info.http_endpoint,
  );
  seen.refusals = {
    again: await refusal(() => client.pool.add(pool)),
    pool: await refusal(() => client.pool.get("nope")),
    node: await refusal(() => client.computeNode.get(id, "nope")),
    extension: await refusal(() => client.computeNodeExtension.get(id, nodes[0].id, "nope")),
    key: await refusal(() => stranger.pool.list()),
  };
  await client.pool.deleteMethod(id);
  await until("the pool is gone", async () => (await refusal(() => client.pool.get(id)))[0] === 404);
  return seen;
}

async function managementPlane() {
  const credential = new ClientSecretCredential(info.tenant_id, info.client_id, info.client_secret, {
    authorityHost: info.authority,
    disableInstanceDiscovery: true,
  });
  const client = new BatchManagementClient(credential, info.subscription_id, {
    endpoint: info.arm_endpoint,
    credentialScopes: ["https://management.azure.com/.default"],
  });
  const place = [info.resource_group, info.account];
  const id = "node-management";
  const machine = { imageReference, nodeAgentSkuId: "batch.node.ubuntu 18.04", extensions: [extension] };
  const pool = {
    vmSize: "Standard_D2_v2",
    deploymentConfiguration: { virtualMachineConfiguration: machine },
    scaleSettings: { fixedScale: { targetDedicatedNodes: 1 } },
  };
  const account = await client.batchAccountOperations.get(...place);
  const keys = await client.batchAccountOperations.getKeys(...place);
  const seen = { account: [account.name, account.provisioningState], key: keys.primary === info.key };
  const young = await client.poolOperations.create(...place, id, pool, { ifNoneMatch: "*" });
  seen.young = [young.vmSize, young.provisioningState, young.allocationState];
  seen.settings = young.deploymentConfiguration.virtualMachineConfiguration.extensions[0].settings;
  await until("the pool is steady", async () => {
    const found = await client.poolOperations.get(...place, id);
    return found.allocationState === "Steady" && found.currentDedicatedNodes === 1;
  });
  seen.listed = (await all(client.poolOperations.listByBatchAccount(...place))).some((item) => item.name === id);
  seen.refusals = {
    exists: await refusal(() => client.poolOperations.create(...place, id, pool, { ifNoneMatch: "*" })),
    pool: await refusal(() => client.poolOperations.get(...place, "nope")),
  };
  await client.poolOperations.beginDeleteAndWait(...place, id, { updateIntervalInMs: 200 });
  seen.gone = await refusal(() => client.poolOperations.get(...place, id));
  return seen;
}

console.log(JSON.stringify({ data: await dataPlane(), management: await managementPlane() }));
