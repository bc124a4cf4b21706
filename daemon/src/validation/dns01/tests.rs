use super::*;

#[test]
fn the_labels_are_those_of_the_standards() {
    let name = DnsName::parse("example.org").unwrap();
    assert_eq!(record(&name), "_acme-challenge.example.org");
    // The example of the draft (D-01).
    let account = "https://example.com/acme/acct/ExampleAccount";
    assert_eq!(account_record(&name, account), "_ujmmovf2vn55tgye._acme-challenge.example.org");
}

#[test]
fn base32_is_that_of_the_standard() {
    // RFC 4648 section 10.
    assert_eq!(base32(b"fooba"), "mzxw6ytb");
    assert_eq!(base32(&[0xff; 10]), "7777777777777777");
    assert_eq!(base32(&[0; 5]), "aaaaaaaa");
}
