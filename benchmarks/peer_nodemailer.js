// Nodemailer with a pool of connections: reads a job, writes a result, as work.py says.
// NODE_PATH leads to the module; nodemailer.py sees to that.
"use strict";

const { readFileSync } = require("node:fs");
const { createTransport } = require("nodemailer");

const job = JSON.parse(readFileSync(0, "utf8"));
const attachments = job.mail.attachments.map(({ filename, base64 }) => ({
    filename,
    content: Buffer.from(base64, "base64"),
}));

const transport = createTransport({
    pool: true,
    host: "127.0.0.1",
    port: job.port,
    name: "client.plant.example",
    maxConnections: job.connections,
    maxMessages: Infinity,
    secure: job.ca_file !== null,
    ignoreTLS: true, // STARTTLS, which nobody offers here
    ...(job.ca_file !== null && {
        tls: { ca: readFileSync(job.ca_file), minVersion: "TLSv1.3" },
        auth: { type: "OAuth2", user: job.user, accessToken: job.token },
    }),
});

async function sendOne(number) {
    const to = Array.from(
        { length: job.recipients },
        (_, one) => `operator${number}-${one}@plant.example`,
    );
    const info = await transport.sendMail({
        from: job.mail.from,
        to: to[0],
        envelope: { from: job.user, to },
        subject: job.mail.subject,
        text: job.mail.text,
        html: job.mail.html ?? undefined,
        attachments,
        messageId: `<m${number}@plant.example>`,
        date: new Date(Date.UTC(2026, 2, 4, 5, 6, 7)),
        headers: { "Auto-Submitted": "auto-generated" },
    });
    if (info.accepted.length !== to.length) throw new Error("a recipient was refused");
}

async function send(begin, count) {
    await Promise.all(Array.from({ length: count }, (_, i) => sendOne(begin + i)));
}

async function main() {
    let began = performance.now();
    await send(0, job.first);
    const first = (performance.now() - began) / 1000;
    const spent = process.cpuUsage();
    began = performance.now();
    await send(job.first, job.further);
    const further = (performance.now() - began) / 1000;
    const { user, system } = process.cpuUsage(spent);
    console.log(JSON.stringify({ first, further, cpu: (user + system) / 1e6 }));
    transport.close();
}

main();
