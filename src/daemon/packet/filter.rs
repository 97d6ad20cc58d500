//! Classic BPF programs, run by the kernel for each packet, so that only what is waited for wakes the loop. Whatever they
//! let through is decoded and checked all the same. Instructions: linux/filter.h, bpf(4).

use std::net::{Ipv4Addr, Ipv6Addr};

use socket2::SockFilter;

const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD: u16 = 0x20;
/// As the first two, at an offset from X.
const LOAD_BYTE_FROM_X: u16 = 0x50;
const LOAD_HALF_FROM_X: u16 = 0x48;
/// X = 4 × the low half of the byte: the length of an IPv4 header.
const X_HEADER_LENGTH: u16 = 0xb1;
const X_IS_A: u16 = 0x07;
const IF_EQUAL: u16 = 0x15;
const IF_EQUAL_X: u16 = 0x1d;
const RETURN: u16 = 0x06;

/// Answers, announcements, and whatever claims an address of ours. Offsets: see `arp`.
pub(super) fn arp(held: impl Iterator<Item = Ipv4Addr>) -> Vec<SockFilter> {
    let mut program = vec![load(LOAD_HALF, 20), next_if(2), accept(), load(LOAD_WORD, 28)];
    for ip in held {
        program.extend([next_if(ip.to_bits()), accept()]);
    }
    program.extend([
        op(X_IS_A, 0),
        load(LOAD_WORD, 38),
        SockFilter::new(IF_EQUAL_X, 0, 1, 0),
        accept(),
        reject(),
    ]);
    program
}

/// Advertisements, and questions about an address of ours. Offsets: see `discovery`.
pub(super) fn discovery(held: impl Iterator<Item = Ipv6Addr>) -> Vec<SockFilter> {
    let mut program = vec![load(LOAD_BYTE, 20), skip_if(58), reject(), load(LOAD_BYTE, 54)];
    program.extend([next_if(136), accept(), skip_if(135), reject()]);
    for ip in held {
        let [.., a, b, c, d, e, f, g, h] = ip.octets();
        let (third, fourth) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        // The second half alone: a question that agrees in 64 bits is rare, and is decoded anyway.
        program.extend([
            load(LOAD_WORD, 70),
            SockFilter::new(IF_EQUAL, 0, 3, third),
            load(LOAD_WORD, 74),
            next_if(fourth),
            accept(),
        ]);
    }
    program.push(reject());
    program
}

/// Echo replies to an identifier, on a raw IPv4 socket: the packet begins with its IP header.
pub(in crate::daemon) fn echo_reply_v4(identifier: u16) -> Vec<SockFilter> {
    let mut program =
        vec![load(X_HEADER_LENGTH, 0), load(LOAD_BYTE_FROM_X, 0), skip_if(0), reject()];
    program.extend([load(LOAD_HALF_FROM_X, 4), next_if(u32::from(identifier)), accept(), reject()]);
    program
}

/// Echo replies to an identifier, on a raw IPv6 socket: the packet begins with its ICMPv6 header.
pub(in crate::daemon) fn echo_reply_v6(identifier: u16) -> Vec<SockFilter> {
    let mut program = vec![load(LOAD_BYTE, 0), skip_if(129), reject()];
    program.extend([load(LOAD_HALF, 4), next_if(u32::from(identifier)), accept(), reject()]);
    program
}

const fn op(code: u16, value: u32) -> SockFilter {
    SockFilter::new(code, 0, 0, value)
}

const fn load(code: u16, at: u32) -> SockFilter {
    op(code, at)
}

/// The next instruction runs only if A is this; otherwise the one after it.
const fn next_if(value: u32) -> SockFilter {
    SockFilter::new(IF_EQUAL, 0, 1, value)
}

/// The next instruction is left out if A is this.
const fn skip_if(value: u32) -> SockFilter {
    SockFilter::new(IF_EQUAL, 1, 0, value)
}

const fn accept() -> SockFilter {
    op(RETURN, u32::MAX)
}

const fn reject() -> SockFilter {
    op(RETURN, 0)
}
