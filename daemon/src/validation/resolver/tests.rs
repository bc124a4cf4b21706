use super::*;

#[test]
fn the_nameserver_lines_of_resolv_conf_are_read() {
    let file =
        "# nameserver 1.1.1.1\nsearch example\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 x\nnameserver no\n";
    assert_eq!(nameservers(file), ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()]);
}
