// An OPC UA client.  node client.js ENDPOINT CERTIFICATE KEY PKI_FOLDER POLICY MODE USER PASSWORD  ("-": anonymous)
// Prints "connected" or "refused WORDS".  stdin: "read GROUP NAME...", "write GROUP NAME TYPE VALUE", "browse";
// every line is answered with JSON or "error WORDS".  ResultReady events come as "event JSON" at any time.
const readline = require("readline");
const say = (line) => process.stdout.write(`${line}\n`);
console.log = console.warn = console.error; // the library's own remarks
const opcua = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const [endpoint, certificate, key, pki, policy, mode, user, password] = process.argv.slice(2);
const FIELDS = [
    "ResultId", "JobId", "PartId", "IsPartial", "IsSimulated", "ResultState", "InternalRecipeId", "CreationTime",
    "Verdict", "Outcome", "Reason", "Score",
];
let index = 0;

async function connected() {
    const manager = new OPCUACertificateManager({
        rootFolder: pki, automaticallyAcceptUnknownCertificate: true,
    });
    await manager.initialize();
    const client = opcua.OPCUAClient.create({
        applicationUri: "urn:kenpin:client", certificateFile: certificate, privateKeyFile: key,
        clientCertificateManager: manager, securityPolicy: opcua.SecurityPolicy[policy],
        securityMode: opcua.MessageSecurityMode[mode], endpointMustExist: false,
        connectionStrategy: { maxRetry: 0, initialDelay: 100 },
    });
    await client.connect(endpoint);
    const identity = user === "-" ? undefined
        : { type: opcua.UserTokenType.UserName, userName: user, password };
    return [client, await client.createSession(identity)];
}

async function listen(session) {
    const subscription = await session.createSubscription2({
        requestedPublishingInterval: 50, requestedLifetimeCount: 100, requestedMaxKeepAliveCount: 10,
        publishingEnabled: true,
    });
    const select = opcua.constructEventFilter(["SourceName", ...FIELDS.map((name) => `${index}:${name}`)]);
    const system = await session.translateBrowsePath(
        opcua.makeBrowsePath("ObjectsFolder", `/${index}:VisionSystem`));
    const item = await subscription.monitor(
        { nodeId: system.targets[0].targetId, attributeId: opcua.AttributeIds.EventNotifier },
        { samplingInterval: 10, discardOldest: true, queueSize: 100, filter: select },
        opcua.TimestampsToReturn.Both);
    item.on("changed", (values) => {
        const event = Object.fromEntries(FIELDS.map((name, place) => [name, values[place + 1].value]));
        say(`event ${JSON.stringify({ SourceName: values[0].value, ...event })}`);
    });
}

async function obey(session, line) {
    const [word, group, ...rest] = line.split(" ");
    if (word === "read") {
        const nodes = rest.map((name) => ({ nodeId: `ns=${index};s=${group}.${name}` }));
        const values = await session.read(nodes);
        return JSON.stringify(values.map((value) => value.value.value?.text ?? value.value.value));
    }
    if (word === "write") {
        const [name, type, value] = rest;
        const status = await session.write({
            nodeId: `ns=${index};s=${group}.${name}`, attributeId: opcua.AttributeIds.Value,
            value: { value: { dataType: opcua.DataType[type], value: type === "String" ? value : Number(value) } },
        });
        return status.name;
    }
    const found = await session.browse("ObjectsFolder");
    return JSON.stringify(found.references.map((reference) => reference.browseName.name));
}

async function main() {
    const [client, session] = await connected();
    const namespaces = await session.readNamespaceArray();
    index = namespaces.indexOf("urn:kenpin:station");
    await listen(session);
    say("connected");
    for await (const line of readline.createInterface({ input: process.stdin })) {
        await obey(session, line).then(
            (answer) => say(answer), (error) => say(`error ${error.message}`));
    }
    await session.close();
    await client.disconnect();
    process.exit(0);
}

main().catch((error) => { say(`refused ${error.message.split("\n")[0]}`); process.exit(1); });
