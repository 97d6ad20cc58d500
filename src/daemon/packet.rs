//! Packet sockets: ARP and neighbour discovery, asked and announced.
