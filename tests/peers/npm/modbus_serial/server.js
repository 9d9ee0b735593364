// A Modbus device on npm's modbus-serial for the tests: over TCP, or as unit 1 of a serial bus (RTU).
//
//   node server.js PORT (0 = any free port) or /dev/...
//
// stdin and stdout speak as modbus_server.c does: input, coil, register, read, held, count; no faults.
"use strict";
const modbus = require("modbus-serial");
const readline = require("readline");

const coils = new Array(1000).fill(false);
const inputs = new Array(1000).fill(false);
const registers = new Array(1000).fill(0);
const where = process.argv[2] || "0";
const serial = where.startsWith("/");
let requests = 0;

function setCoil(address, level) {
    if (coils[address] !== level) {
        console.log(`coil ${process.hrtime.bigint()} ${address} ${Number(level)}`);
        coils[address] = level;
    }
}

function counted(value) {
    requests += 1;
    return value;
}

const device = {
    getCoil: (address) => counted(coils[address]),
    getDiscreteInput: (address) => counted(inputs[address]),
    getHoldingRegister: (address) => counted(registers[address]),
    getInputRegister: () => counted(0),
    setCoil: (address, level) => counted(setCoil(address, Boolean(level))),
    setRegister: (address, value) => counted((registers[address] = value)),
};

const server = serial
    ? new modbus.ServerSerial(device, { path: where, baudRate: 9600, unitID: 1 })
    : new modbus.ServerTCP(device, { host: "127.0.0.1", port: where, unitID: 1 }); // a number 0 would mean 502
server.on("socketError", () => {}); // a client that resets its connection is no news
server.on("serverError", (error) => process.stderr.write(`${error}\n`));
server.on("error", (error) => process.stderr.write(`${error}\n`));
server.on("initialized", () => console.log(`listening ${serial ? 0 : server._server.address().port}`));

const answers = {
    input: (address, level) => (inputs[address] = Boolean(level)),
    coil: (address, level) => setCoil(address, Boolean(level)),
    register: (address, value) => (registers[address] = value),
    count: () => {},
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const [command, address, value] = line.split(" ");
    if (command === "read" || command === "held") {
        console.log(`ok ${Number((command === "read" ? coils : registers)[Number(address)])} 0`);
        return;
    }
    answers[command](Number(address), Number(value));
    console.log(`ok ${requests} 0`);
}).on("close", () => process.exit(0));
