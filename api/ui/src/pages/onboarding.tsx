import { Onboarding } from '../onboarding/onboarding'

export default function OnboardingPage() {
  return <Onboarding />
}
