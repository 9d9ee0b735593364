// An S7 controller with one data block of 256 bytes.  node server.js PORT DB
// stdin: "read", or "write OFFSET HEX"; every line is answered with the block in hex.
const readline = require("readline");
const snap7 = require("node-snap7");

const [port, number] = process.argv.slice(2).map(Number);
const server = new snap7.S7Server();
const block = Buffer.alloc(256);

server.RegisterArea(server.srvAreaDB, number, block);
server.SetParam(server.LocalPort, port);
if (!server.StartTo("127.0.0.1")) {
    console.error(server.ErrorText(server.LastError()));
    process.exit(1);
}
console.log("listening");

readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const [word, offset, hex] = line.split(" ");
    if (word === "write") {
        // the server keeps a copy of its own, which only SetArea replaces
        const now = server.GetArea(server.srvAreaDB, number);
        Buffer.from(hex, "hex").copy(now, Number(offset));
        server.SetArea(server.srvAreaDB, number, now);
    }
    console.log(server.GetArea(server.srvAreaDB, number).toString("hex"));
}).on("close", () => {
    server.Stop();
    process.exit(0);
});
