//! Every guarded route against every role, and against nobody: who gets in is what the contract says.

use std::sync::Arc;

use hsm::wire::SealStatus;

use super::world::World;

/// The sets of the contract.
const ALL: [bool; 4] = [true, true, true, true];
const RD: [bool; 4] = [true, true, false, true];
const REQ: [bool; 4] = [true, true, true, false];
const MGR: [bool; 4] = [true, true, false, false];
const ADM: [bool; 4] = [true, false, false, false];

/// Method, path, who gets in: administrator, manager, requestor, reader.
const ROUTES: [(&str, &str, [bool; 4]); 32] = [
    ("GET", "/api/v1/accounts", ADM),
    ("POST", "/api/v1/accounts", ADM),
    ("GET", "/api/v1/accounts/me", ALL),
    ("POST", "/api/v1/accounts/me/change_password", ALL),
    ("GET", "/api/v1/accounts/{id}", ADM),
    ("DELETE", "/api/v1/accounts/{id}", ADM),
    ("POST", "/api/v1/accounts/{id}/change_password", ADM),
    ("PUT", "/api/v1/accounts/{id}/role", ADM),
    ("GET", "/api/v1/acme_servers", RD),
    ("POST", "/api/v1/acme_servers", MGR),
    ("GET", "/api/v1/acme_servers/{id}", RD),
    ("PUT", "/api/v1/acme_servers/{id}", MGR),
    ("DELETE", "/api/v1/acme_servers/{id}", MGR),
    ("PUT", "/api/v1/acme_servers/{id}/active", MGR),
    ("GET", "/api/v1/certificate_authorities", RD),
    ("POST", "/api/v1/certificate_authorities", MGR),
    ("GET", "/api/v1/certificate_authorities/{id}", RD),
    ("PUT", "/api/v1/certificate_authorities/{id}", MGR),
    ("DELETE", "/api/v1/certificate_authorities/{id}", MGR),
    ("POST", "/api/v1/certificate_authorities/{id}/certificate", MGR),
    ("POST", "/api/v1/certificate_authorities/{id}/sign", MGR),
    ("POST", "/api/v1/certificate_authorities/{id}/revoke", MGR),
    ("GET", "/api/v1/certificate_requests", ALL),
    ("POST", "/api/v1/certificate_requests", REQ),
    ("GET", "/api/v1/certificate_requests/{id}", ALL),
    ("DELETE", "/api/v1/certificate_requests/{id}", MGR),
    ("POST", "/api/v1/certificate_requests/{id}/certificate", MGR),
    ("DELETE", "/api/v1/certificate_requests/{id}/certificate", MGR),
    ("POST", "/api/v1/certificate_requests/{id}/certificate/revoke", MGR),
    ("POST", "/api/v1/certificate_requests/{id}/reject", MGR),
    ("POST", "/api/v1/certificate_requests/{id}/sign", MGR),
    ("GET", "/api/v1/config", ALL),
];

/// Routes that anybody may take.
const OPEN: [(&str, &str); 5] = [
    ("GET", "/api/v1/certificate_authorities/{id}/crl"),
    ("GET", "/metrics"),
    ("GET", "/status"),
    ("POST", "/login"),
    ("POST", "/logout"),
];

#[tokio::test]
async fn every_route_lets_in_the_roles_of_the_contract() {
    let (world, admin) = World::administered().await;
    world.seal_is(SealStatus::Unsealed);
    let mut sessions = vec![admin.clone()];
    for role in 1..4 {
        sessions.push(world.account(&admin, &format!("role{role}@example.com"), role).await.1);
    }
    let table = crate::api::notary::routes(Arc::clone(&world.inner.services));
    let mut rows: Vec<(&str, &str)> = ROUTES.iter().map(|(method, path, _)| (*method, *path)).chain(OPEN).collect();
    let mut routes: Vec<(&str, &str)> =
        table.table().iter().map(|route| (route.method.as_str(), route.path.as_str())).collect();
    rows.sort_unstable();
    routes.sort_unstable();
    assert_eq!(routes, rows, "a route that no row of the contract stands for, or the other way round");
    for (method, path, may) in ROUTES {
        let method: http::Method = method.parse().unwrap();
        // No such thing, and no body: whoever gets past the door hears of that.
        let path = path.replace("{id}", "999");
        let nobody = world.ask("", method.clone(), &path, None).await;
        nobody.is_unauthorized();
        for (role, session) in sessions.iter().enumerate() {
            let answer = world.ask(session, method.clone(), &path, None).await;
            match may[role] {
                true => {
                    assert!(!matches!(answer.status.as_u16(), 401 | 403), "role {role} at {method} {path}: {answer:?}")
                }
                false => answer.is_forbidden(),
            }
        }
    }
}
