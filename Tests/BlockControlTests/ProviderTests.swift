// SPDX-License-Identifier: Apache-2.0

import BlockControl
import Testing

@Suite(.timeLimit(.minutes(2))) struct `Providers of disks` {
    @Test func `are added, listed and removed by their patterns`() async throws {
        try await withDaemon { daemon in
            let client = daemon.client
            let request = ProvideRequest(pattern: "ram*x.y", driver: "ram", parameters: ["size": .one("1M")])
            let made = try await client.send(.addProvider, body: request, as: ProviderModel.self)
            #expect(made == ProviderModel(pattern: "ram*x.y", driver: "ram", parameters: ["size": .one("1M")]))
            #expect(try await client.send(.listProviders, as: ProviderList.self).providers == [made])
            // The star goes through a path.
            #expect(try await client.send(.removeProvider, "ram*x.y", as: ProviderModel.self) == made)
            let none = await problem { try await client.send(.removeProvider, "ram*x.y", as: ProviderModel.self) }
            #expect(none?.status == 404 && none?.detail == "nothing for 'ram*x.y'")
        }
    }
}
