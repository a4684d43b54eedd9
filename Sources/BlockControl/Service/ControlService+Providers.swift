// SPDX-License-Identifier: Apache-2.0

internal import Logging

extension ControlService {
    /// `GET /v1/providers`
    public func providers() async -> ProviderList { ProviderList(providers: await backend.providers()) }

    /// `POST /v1/providers`
    public func provide(_ request: ProvideRequest) async throws(Problem) -> ProviderModel {
        let provider = try await backend.provide(
            request.pattern, driver: request.driver, parameters: [Parameter](request.parameters ?? [:]))
        logger.info("provider added", metadata: ["pattern": "\(provider.pattern)", "driver": "\(provider.driver)"])
        return provider
    }

    /// `DELETE /v1/providers/PATTERN`
    public func unprovide(_ pattern: String) async throws(Problem) -> ProviderModel {
        let provider = try await backend.unprovide(pattern)
        logger.info("provider removed", metadata: ["pattern": "\(provider.pattern)", "made": "\(provider.made)"])
        return provider
    }
}
