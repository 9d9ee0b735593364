// A PLC that polls a Modbus TCP server.  node client.js PORT
// stdin: "inputs ADDRESS COUNT", "holding ADDRESS COUNT", "write ADDRESS VALUE...", "one ADDRESS VALUE", "coil ADDRESS 0|1";
// every line is answered with the registers, or with "error WORDS".
const readline = require("readline");
const ModbusRTU = require("modbus-serial");

const client = new ModbusRTU();

async function obey(line) {
    const [word, ...rest] = line.split(" ");
    const [address, ...values] = rest.map(Number);
    if (word === "inputs") return (await client.readInputRegisters(address, values[0])).data.join(" ");
    if (word === "holding") return (await client.readHoldingRegisters(address, values[0])).data.join(" ");
    if (word === "one") return (await client.writeRegister(address, values[0])).value;
    if (word === "coil") return (await client.writeCoil(address, values[0] === 1)).state;
    return (await client.writeRegisters(address, values)).length;
}

async function main() {
    await client.connectTCP("127.0.0.1", { port: Number(process.argv[2]) });
    client.setID(1);
    client.setTimeout(2000);
    console.log("connected");
    for await (const line of readline.createInterface({ input: process.stdin })) {
        await obey(line).then(
            (answer) => console.log(String(answer)),
            (error) => console.log(`error ${error.modbusCode || ""} ${error.message}`),
        );
    }
    client.close(() => process.exit(0));
}

main();
